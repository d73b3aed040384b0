//! How the layout looks: colours, and the controls that it is made of.

use super::tree::{Colour, Frame, Node};

/// Behind everything.
pub(super) const GROUND: Colour = [0.078, 0.086, 0.106, 1.0];
/// Behind what belongs together.
pub(super) const PANEL: Colour = [0.125, 0.141, 0.173, 1.0];
/// Names.
pub(super) const DIM: Colour = [0.58, 0.63, 0.71, 1.0];
/// Values.
pub(super) const BRIGHT: Colour = [0.93, 0.95, 0.98, 1.0];
/// What is on air.
pub(super) const GREEN: Colour = [0.25, 0.76, 0.42, 1.0];
/// Bypass and gain reduction.
pub(super) const AMBER: Colour = [0.95, 0.66, 0.22, 1.0];
/// Saved states.
pub(super) const BLUE: Colour = [0.35, 0.60, 0.95, 1.0];
/// Parameters and inputs.
pub(super) const TEAL: Colour = [0.28, 0.74, 0.76, 1.0];
/// Warnings, and the next cue.
pub(super) const RED: Colour = [0.90, 0.32, 0.32, 1.0];
const NONE: Colour = [0.0, 0.0, 0.0, 0.0];

/// The script of a fader or knob: touched twice within 300 ms it goes back to where `default` is.
fn double_tap(default: f64) -> String {
    format!(
        "local before = 0\n\
         function onValueChanged(key)\n\
         \x20 if key ~= 'touch' or not self.values.touch then return end\n\
         \x20 local now = getMillis()\n\
         \x20 if now - before < 300 then self.values.x = {default} end\n\
         \x20 before = now\n\
         end\n"
    )
}

/// A text.
pub(super) fn label(name: &str, frame: Frame, text: &str, size: i32, colour: Colour) -> Node {
    Node::new("LABEL", name, frame)
        .value("text", text)
        .flag("background", false)
        .flag("outline", false)
        .flag("interactive", false)
        .flag("grabFocus", false)
        .colour("color", NONE)
        .colour("textColor", colour)
        .int("font", 0)
        .int("textSize", size)
        .int("textLength", 0)
        .int("textAlignH", 2)
        .int("textAlignV", 2)
        .flag("textClip", true)
}

/// A panel that holds other controls.
pub(super) fn group(name: &str, frame: Frame, colour: Colour) -> Node {
    Node::new("GROUP", name, frame)
        .flag("background", true)
        .flag("outline", false)
        .flag("interactive", true)
        .flag("grabFocus", false)
        .number("cornerRadius", 4.0)
        .colour("color", colour)
}

/// A button with its text; a latching one stays pressed until it is pressed again.
pub(super) fn button(
    name: &str,
    frame: Frame,
    text: &str,
    colour: Colour,
    is_latching: bool,
    send: impl Fn(Node) -> Node,
) -> [Node; 2] {
    let size = if frame[2] < 70 { 12 } else { 14 };
    [
        send(bare_button(name, frame, colour, is_latching)),
        label(&format!("{name} text"), frame, text, size, BRIGHT),
    ]
}

/// A lamp, and over it a button that requests what it shows: it is lit by the daemon, not by the finger.
pub(super) fn lamp(name: &str, frame: Frame, colour: Colour, address: &str) -> [Node; 2] {
    let light = bare_button(&format!("{name} lamp"), frame, colour, false)
        .flag("interactive", false)
        .flag("grabFocus", false)
        .shows(address, 0.0, 1.0);
    let press = bare_button(name, frame, colour, false).flag("background", false).triggers(address);
    [light, press]
}

/// A button without a text.
pub(super) fn bare_button(name: &str, frame: Frame, colour: Colour, is_latching: bool) -> Node {
    Node::new("BUTTON", name, frame)
        .value("x", 0)
        .int("buttonType", if is_latching { 2 } else { 0 })
        .flag("press", true)
        .flag("release", !is_latching)
        .flag("valuePosition", false)
        .flag("background", true)
        .flag("outline", true)
        .int("outlineStyle", 0)
        .flag("interactive", true)
        .flag("grabFocus", true)
        .number("cornerRadius", 6.0)
        .colour("color", colour)
}

/// A vertical fader; it follows the finger from its own position, and does not jump to it.
pub(super) fn fader(name: &str, frame: Frame, colour: Colour, default: f64, steps: Option<i32>) -> Node {
    bar(Node::new("FADER", name, frame), colour, default)
        .flag("interactive", true)
        .flag("grabFocus", true)
        .flag("cursor", true)
        .int("cursorDisplay", 0)
        .flag("grid", steps.is_some())
        .int("gridSteps", steps.unwrap_or(10))
        .int("response", 1)
        .int("responseFactor", 100)
        .text("script", &double_tap(default))
}

fn bar(node: Node, colour: Colour, default: f64) -> Node {
    node.value("x", default)
        .flag("bar", true)
        .int("barDisplay", 0)
        .flag("centered", false)
        .flag("background", true)
        .flag("outline", true)
        .int("outlineStyle", 1)
        .number("cornerRadius", 3.0)
        .colour("color", colour)
}

/// A meter: a bar that grows upwards, or from the top down.
pub(super) fn meter(name: &str, frame: Frame, colour: Colour, is_down: bool) -> Node {
    bar(Node::new("FADER", name, frame), colour, 0.0)
        .int("orientation", if is_down { 2 } else { 0 })
        .flag("interactive", false)
        .flag("grabFocus", false)
        .flag("cursor", false)
        .int("cursorDisplay", 0)
        .flag("grid", false)
        .int("gridSteps", 10)
        .int("response", 0)
        .int("responseFactor", 100)
}

/// A knob; it follows the finger as a fader does.
pub(super) fn knob(name: &str, frame: Frame, colour: Colour, default: f64) -> Node {
    Node::new("RADIAL", name, frame)
        .value("x", default)
        .flag("background", true)
        .flag("outline", true)
        .int("outlineStyle", 0)
        .flag("interactive", true)
        .flag("grabFocus", true)
        .flag("inverted", false)
        .flag("centered", false)
        .flag("grid", false)
        .int("gridSteps", 10)
        .int("response", 1)
        .int("responseFactor", 100)
        .number("cornerRadius", 1.0)
        .colour("color", colour)
        .text("script", &double_tap(default))
}

/// Height of a pager's tabs.
pub(super) const TABS: i32 = 46;

/// Pages with a tab each.
pub(super) fn pager(name: &str, frame: Frame, pages: Vec<(String, Node)>) -> Node {
    let page = |(label, page): (String, Node)| {
        page.text("tabLabel", &label)
            .colour("tabColorOff", PANEL)
            .colour("tabColorOn", [0.20, 0.23, 0.29, 1.0])
            .colour("textColorOff", DIM)
            .colour("textColorOn", BRIGHT)
    };
    Node::new("PAGER", name, frame)
        .value("page", 0)
        .flag("background", false)
        .flag("outline", false)
        .flag("interactive", true)
        .flag("grabFocus", false)
        .colour("color", PANEL)
        .flag("tabbar", true)
        .int("tabbarSize", TABS)
        .flag("tabLabels", true)
        .flag("tabbarDoubleTap", false)
        .int("textSizeOff", 14)
        .int("textSizeOn", 14)
        .with(pages.into_iter().map(page))
}

/// The frame of a page in a pager of this size.
pub(super) fn page_frame([_, _, w, h]: Frame) -> Frame {
    [0, TABS, w, h - TABS]
}
