"""Runs the scripts of a TouchOSC layout in a real Lua: two taps reset, one does not; the layout subscribes,
and returns the token that it is sent."""

import sys
import zlib
import xml.etree.ElementTree as tree

from lupa import LuaRuntime

root = tree.fromstring(zlib.decompress(open(sys.argv[1], "rb").read()))


def properties(node):
    found = node.find("properties")
    return {p.find("key").text: p.find("value").text for p in found}


def lua(script):
    """A runtime as TouchOSC's, as far as the layout uses it: its clock, what it sends, the values of the control."""
    runtime = LuaRuntime()
    runtime.execute("now, sent, self = 0, {}, {values = {x = 0.123, touch = false}}")
    runtime.execute("function getMillis() return now end")
    runtime.execute("function sendOSC(...) sent[#sent + 1] = table.concat({...}, ' ') end")
    runtime.execute(script)
    return runtime


def tap(runtime, at):
    runtime.execute(f"now = {at}; self.values.touch = true; onValueChanged('touch')")
    runtime.execute("self.values.touch = false; onValueChanged('touch')")
    return runtime.eval("self.values.x")


resets = 0
for node in root.iter("node"):
    script = properties(node).get("script")
    if not script or node.get("type") == "GROUP":
        continue
    default = next(float(v.find("default").text) for v in node.find("values") if v.find("key").text == "x")
    runtime = lua(script)
    assert tap(runtime, 1000) == 0.123 and tap(runtime, 2000) == 0.123, "a tap alone does nothing"
    assert abs(tap(runtime, 2200) - default) < 1e-12, "two taps reset"
    resets += 1

runtime = lua(properties(root[0])["script"])
for now in (0, 100, 4999, 5000, 5100, 10000):
    runtime.execute(f"now = {now}; update()")
runtime.execute("onReceiveOSC({'/swap', {{tag = 's', value = 'a'}}}, {})")
runtime.execute("onReceiveOSC({'/token', {{tag = 's', value = '9001-0123'}}}, {})")
print(resets, list(runtime.eval("sent").values()))
