//! Lists the sound devices, and chooses the one that a station names.

use crate::audio::backend::BackendError;
use crate::station::cpal::{ALL_FORMATS, Cpal, Format};
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{
    BufferSize, Device, ErrorKind, Host, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange,
};
use lacquer_control::surface::midi::map::matches;
use lacquer_graph::param::hint::Hint;
use thiserror::Error;

/// Formats in order of preference, if the station names none: only the last one loses bits.
const BEST: [Format; 5] = [Format::Int32, Format::Float, Format::Int24, Format::Float64, Format::Int16];
/// ALSA's prefixes for a device itself, and for the device with conversions: preferred in this order.
pub(crate) const DIRECT: [&str; 2] = ["hw:", "plughw:"];

/// The direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In.
    Input,
    /// Out.
    Output,
}

/// A device and how it is to be opened.
pub(crate) struct Chosen {
    /// The device.
    pub device: Device,
    /// Its name.
    pub name: String,
    /// The configuration to ask the host for.
    pub config: StreamConfig,
    /// The sample format.
    pub format: Format,
}

/// A device as `lacquer devices` shows it.
pub(crate) struct Listed {
    /// The host.
    pub host: &'static str,
    /// Its name, as in a station file.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// What it can, each way; an error where it could not be asked.
    pub ways: Vec<(Way, Result<Vec<Offer>, cpal::Error>)>,
}

/// No host answers: what each of them says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct NoHost(String);

/// What a device can at some number of channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    /// The formats, as in station files.
    pub formats: Vec<&'static str>,
    /// Fewest and most channels.
    pub channels: (u16, u16),
    /// Lowest and highest rate, in Hz.
    pub rates: (u32, u32),
    /// Smallest and largest block, in frames, if the device reports them.
    pub blocks: Option<(u32, u32)>,
}

/// The host of a station: ALSA if it names none.
///
/// # Errors
/// There is no such host, or it does not answer.
pub(crate) fn host(name: Option<&str>) -> Result<Host, BackendError> {
    let name = name.unwrap_or("alsa");
    let known = cpal::ALL_HOSTS.iter().find(|id| id.name().eq_ignore_ascii_case(name));
    let names: Vec<String> = cpal::ALL_HOSTS.iter().map(|id| id.name().to_lowercase()).collect();
    let refuse = |why: String| BackendError::Device { device: name.to_owned(), why, is_transient: false };
    let id = known.ok_or_else(|| {
        let hint = Hint::nearest(name, names.iter().map(String::as_str));
        refuse(format!("no such host{hint}; this build has {}", names.join(", ")))
    })?;
    cpal::host_from_id(*id).map_err(|error| match error.kind() {
        // A PulseAudio server refuses a client without its cookie.
        ErrorKind::InvalidInput => {
            refuse(format!("{error}; if its server runs, `pactl info` makes its cookie"))
        }
        _ => failed(name, "asking the host", &error),
    })
}

/// Converts an error of cpal.
pub(crate) fn failed(device: &str, doing: &str, error: &cpal::Error) -> BackendError {
    let is_transient = matches!(
        error.kind(),
        ErrorKind::DeviceBusy
            | ErrorKind::DeviceNotAvailable
            | ErrorKind::HostUnavailable
            | ErrorKind::BackendError
    );
    let what = match error.kind() {
        ErrorKind::PermissionDenied => "no permission; add the user to the group audio".to_owned(),
        ErrorKind::DeviceBusy => "another program uses it; run `lacquer doctor`".to_owned(),
        _ => error.to_string(),
    };
    BackendError::Device { device: device.to_owned(), why: format!("{doing}: {what}"), is_transient }
}

/// The name of a device, as in a station file.
fn name_of(device: &Device) -> String {
    device.id().map(|id| id.id().to_owned()).unwrap_or_default()
}

fn description_of(device: &Device) -> String {
    let description = device.description();
    description.map(|description| description.name().to_owned()).unwrap_or_default()
}

/// The devices that match a pattern, the best first.
fn matching_devices(host: &Host, pattern: &str, way: Way) -> Result<Vec<Device>, BackendError> {
    if pattern == "default" {
        let default = match way {
            Way::Input => host.default_input_device(),
            Way::Output => host.default_output_device(),
        };
        return Ok(default.into_iter().collect());
    }
    let all = host.devices().map_err(|error| failed(pattern, "looking for it", &error))?;
    let can = |device: &Device| match way {
        Way::Input => device.supports_input(),
        Way::Output => device.supports_output(),
    };
    let by_id = host.device_by_id(&cpal::DeviceId::new(host.id(), pattern));
    let is_meant =
        |device: &Device| matches(pattern, &name_of(device)) || matches(pattern, &description_of(device));
    let mut meant: Vec<Device> = all.filter(|device| can(device) && is_meant(device)).collect();
    let rank = |device: &Device| {
        let name = name_of(device);
        DIRECT.iter().position(|prefix| name.starts_with(prefix)).unwrap_or(DIRECT.len())
    };
    meant.sort_by_key(rank);
    Ok(by_id.into_iter().chain(meant).collect())
}

/// The configurations that a device supports in this direction.
fn supported_configs(device: &Device, way: Way) -> Result<Vec<SupportedStreamConfigRange>, cpal::Error> {
    match way {
        Way::Input => device.supported_input_configs().map(Iterator::collect),
        Way::Output => device.supported_output_configs().map(Iterator::collect),
    }
}

/// Chooses the device that a station names, with the best configuration for it.
///
/// # Errors
/// There is no such device, it does not answer, or it does not support what the station asks for.
pub(crate) fn choose(host: &Host, wanted: &Cpal, pattern: &str, way: Way) -> Result<Chosen, BackendError> {
    let channels = match way {
        Way::Input => &wanted.inputs,
        Way::Output => &wanted.outputs,
    };
    let least = channels.iter().max().map_or(1, |most| most + 1);
    let devices = matching_devices(host, pattern, way)?;
    let direction = if way == Way::Input { "input" } else { "output" };
    let mut first_error = None;
    for device in devices {
        let name = name_of(&device);
        let offers = match supported_configs(&device, way) {
            Ok(offers) => offers,
            Err(error) => {
                first_error.get_or_insert(failed(&name, "reading its configurations", &error));
                continue;
            }
        };
        let fits = |offer: &&SupportedStreamConfigRange| {
            usize::from(offer.channels()) >= least && offer.contains_rate(wanted.rate)
        };
        let formats = wanted.format.map_or(BEST.to_vec(), |format| vec![format]);
        let best = formats.iter().find_map(|format| {
            let of_format =
                offers.iter().filter(fits).filter(|offer| offer.sample_format() == format.of_device());
            Some((*format, of_format.min_by_key(|offer| offer.channels())?))
        });
        match best {
            Some((format, offer)) => {
                let config = StreamConfig {
                    channels: offer.channels(),
                    sample_rate: wanted.rate,
                    buffer_size: buffer(*offer.buffer_size(), wanted.block),
                };
                return Ok(Chosen { device, name, config, format });
            }
            None => {
                let format =
                    wanted.format.map_or(String::new(), |format| format!(" in {}", format_name(format)));
                let why = format!(
                    "as {direction} it does not support {} Hz with {least} channels{format}; it supports {}",
                    wanted.rate,
                    describe_offers(&merge_offers(&offers))
                );
                first_error.get_or_insert(BackendError::Device { device: name, why, is_transient: false });
            }
        }
    }
    Err(first_error.unwrap_or_else(|| BackendError::Device {
        device: pattern.to_owned(),
        why: format!("no such {direction} device; `lacquer devices` lists all"),
        is_transient: true,
    }))
}

/// The buffer size nearest to the wanted one.
fn buffer(can: SupportedBufferSize, wanted: u32) -> BufferSize {
    match can {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wanted.clamp(min, max.max(min))),
        SupportedBufferSize::Unknown => BufferSize::Default,
    }
}

/// The name of a format, as in station files.
pub(crate) fn format_name(format: Format) -> &'static str {
    match format {
        Format::Int16 => "16-bit",
        Format::Int24 => "24-bit",
        Format::Int32 => "32-bit",
        Format::Float => "float",
        Format::Float64 => "float64",
    }
}

/// Merges a device's configurations: one offer for each range of rates.
fn merge_offers(configs: &[SupportedStreamConfigRange]) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for one in configs {
        let known = ALL_FORMATS.iter().find(|format| format.of_device() == one.sample_format());
        let Some(format) = known.map(|format| format_name(*format)) else { continue };
        let rates = (one.min_sample_rate(), one.max_sample_rate());
        let blocks = match one.buffer_size() {
            SupportedBufferSize::Range { min, max } => Some((*min, *max)),
            SupportedBufferSize::Unknown => None,
        };
        match offers.iter_mut().find(|offer| offer.rates == rates) {
            Some(offer) => {
                if !offer.formats.contains(&format) {
                    offer.formats.push(format);
                }
                let (least, most) = offer.channels;
                offer.channels = (least.min(one.channels()), most.max(one.channels()));
                offer.blocks = match (offer.blocks, blocks) {
                    (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                    (a, b) => a.or(b),
                };
            }
            None => offers.push(Offer {
                formats: vec![format],
                channels: (one.channels(), one.channels()),
                rates,
                blocks,
            }),
        }
    }
    offers
}

/// Offers in words.
pub(crate) fn describe_offers(offers: &[Offer]) -> String {
    if offers.is_empty() {
        return "no format that lacquer knows".to_owned();
    }
    let range =
        |least: u32, most: u32| if least == most { format!("{least}") } else { format!("{least} to {most}") };
    let one = |offer: &Offer| {
        let (least, most) = offer.channels;
        let blocks =
            offer.blocks.map_or(String::new(), |(least, most)| format!(", blocks of {}", range(least, most)));
        let channels = range(u32::from(least), u32::from(most));
        let rates = range(offer.rates.0, offer.rates.1);
        format!("{rates} Hz, {channels} channels, {}{blocks}", offer.formats.join(" "))
    };
    offers.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// All devices of all hosts; a host that does not answer is omitted.
///
/// # Errors
/// None answers.
pub(crate) fn list() -> Result<Vec<Listed>, NoHost> {
    let (mut listed, mut failures) = (Vec::new(), Vec::new());
    for id in cpal::ALL_HOSTS.iter().copied() {
        let devices = match cpal::host_from_id(id).and_then(|host| host.devices()) {
            Ok(devices) => devices,
            Err(error) => {
                failures.push(format!("{}: {error}", id.name().to_lowercase()));
                continue;
            }
        };
        for device in devices {
            // ALSA lists some twice.
            if listed.iter().any(|one: &Listed| one.host == id.name() && one.name == name_of(&device)) {
                continue;
            }
            let mut ways = Vec::new();
            for (way, is_there) in
                [(Way::Input, device.supports_input()), (Way::Output, device.supports_output())]
            {
                if is_there {
                    ways.push((way, supported_configs(&device, way).map(|configs| merge_offers(&configs))));
                }
            }
            let (name, description) = (name_of(&device), description_of(&device));
            listed.push(Listed { host: id.name(), name, description, ways });
        }
    }
    if failures.len() == cpal::ALL_HOSTS.len() { Err(NoHost(failures.join("; "))) } else { Ok(listed) }
}
