//! Where tensors live and are computed: burn's run-time device handle, and its name in text.
//!
//! A model takes a `&Device` when it is loaded; nothing here picks one silently, because burn's own default depends on
//! the compiled features and panics without one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use burn::tensor::Device;

/// The forms that a device is written in.
const FORMS: &str = "write cpu, wgpu, wgpu:N, cuda or cuda:N";

/// A device by name, so that it can stand in a configuration file or on a command line.
///
/// `wgpu:0` is the first graphics adapter that the system lists and `wgpu` the one that it prefers; `cuda` is `cuda:0`.
///
/// ```
/// use ragtune_core::device::DeviceSpec;
///
/// let spec: DeviceSpec = "wgpu:1".parse()?;
/// assert_eq!(spec, DeviceSpec::Wgpu(Some(1)));
/// assert_eq!(spec.to_string(), "wgpu:1");
/// assert!("gpu".parse::<DeviceSpec>().is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The processor (feature `cpu`).
    #[default]
    Cpu,
    /// A graphics adapter through Vulkan, Metal or DirectX (feature `wgpu`), by its number in the system's list.
    Wgpu(Option<usize>),
    /// An NVIDIA GPU (feature `cuda`), by its number in the driver's list.
    Cuda(Option<usize>),
}

/// What can go wrong between the name of a device and the device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text names no device.
    #[error("`{text}` is no device: {FORMS}")]
    Unknown {
        /// What was given.
        text: String,
    },
    /// The program was built without this kind of device.
    #[error("the device {spec} needs the feature `{feature}`: build with `--features {feature}`")]
    MissingFeature {
        /// The device asked for.
        spec: DeviceSpec,
        /// The feature of `ragtune` and `ragtune-core` that has it.
        feature: &'static str,
    },
    /// The machine has no such device.
    #[error(
        "the device {spec} does not exist: {}", match found {
            0 => "the driver of this machine lists none of its kind".to_owned(),
            found => format!("this machine has {found} of its kind, numbered from 0"),
        }
    )]
    NotFound {
        /// The device asked for.
        spec: DeviceSpec,
        /// Devices of its kind that the machine has.
        found: usize,
    },
    /// The device exists and cannot be used.
    #[error("the device {spec} cannot be used")]
    Unusable {
        /// The device asked for.
        spec: DeviceSpec,
        /// What its driver said.
        #[source]
        source: crate::error::BoxError,
    },
}

impl DeviceSpec {
    /// The device, after asking the machine whether it has it; nothing is computed yet.
    ///
    /// # Errors
    /// [`DeviceError`], in [`Error::Device`](crate::Error::Device): the feature is missing, or the machine has no such
    /// device.
    ///
    /// ```
    /// use ragtune_core::device::DeviceSpec;
    /// let device = DeviceSpec::Cpu.device()?;
    /// # Ok::<(), ragtune_core::Error>(())
    /// ```
    pub fn device(self) -> Result<Device> {
        Ok(match self {
            Self::Cpu => self.on_cpu(),
            Self::Wgpu(index) => self.on_wgpu(index),
            Self::Cuda(index) => self.on_cuda(index),
        }?)
    }

    #[cfg(feature = "cpu")]
    fn on_cpu(self) -> Result<Device, DeviceError> {
        Ok(cpu())
    }

    #[cfg(not(feature = "cpu"))]
    fn on_cpu(self) -> Result<Device, DeviceError> {
        Err(self.missing("cpu"))
    }

    #[cfg(feature = "wgpu")]
    fn on_wgpu(self, index: Option<usize>) -> Result<Device, DeviceError> {
        use burn::tensor::wgpu::WgpuInitError;
        use burn::tensor::{DeviceKind, DeviceType};

        // A tensor on an adapter that does not exist panics: so the adapters are listed first.
        let adapters: Vec<Device> = Device::enumerate(DeviceType::Wgpu).into_iter().collect();
        let kind = match index {
            None if adapters.is_empty() => return Err(self.not_found(0)),
            None => DeviceKind::DefaultDevice,
            Some(index) => {
                let adapter = adapters
                    .get(index)
                    .ok_or_else(|| self.not_found(adapters.len()))?;
                match kind_of(adapter, adapters.len()) {
                    Some(kind) => kind,
                    None => return Ok(adapter.clone()),
                }
            }
        };
        // And so does one whose driver refuses: so it is opened here, once.
        match Device::wgpu_options().device_kind(kind.clone()).init() {
            Ok(device) => Ok(device),
            Err(WgpuInitError::Registration { .. }) => Ok(Device::wgpu(kind)),
            Err(source) => Err(DeviceError::Unusable {
                spec: self,
                source: source.into(),
            }),
        }
    }

    #[cfg(not(feature = "wgpu"))]
    fn on_wgpu(self, _: Option<usize>) -> Result<Device, DeviceError> {
        Err(self.missing("wgpu"))
    }

    #[cfg(feature = "cuda")]
    fn on_cuda(self, index: Option<usize>) -> Result<Device, DeviceError> {
        use burn::tensor::DeviceType;

        // The list is empty where the driver's library is not installed; a tensor would panic there.
        let index = index.unwrap_or(0);
        let found = Device::enumerate(DeviceType::Cuda).into_iter().count();
        if index < found {
            Ok(Device::cuda(index))
        } else {
            Err(self.not_found(found))
        }
    }

    #[cfg(not(feature = "cuda"))]
    fn on_cuda(self, _: Option<usize>) -> Result<Device, DeviceError> {
        Err(self.missing("cuda"))
    }

    #[cfg(not(all(feature = "cpu", feature = "wgpu", feature = "cuda")))]
    fn missing(self, feature: &'static str) -> DeviceError {
        DeviceError::MissingFeature { spec: self, feature }
    }

    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn not_found(self, found: usize) -> DeviceError {
        DeviceError::NotFound { spec: self, found }
    }
}

impl FromStr for DeviceSpec {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || DeviceError::Unknown {
            text: text.to_owned(),
        };
        let (kind, index) = match text.split_once(':') {
            // Digits only: `parse` alone would also take a sign.
            Some((kind, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (kind, Some(digits.parse().map_err(|_| unknown())?))
            }
            Some(_) => return Err(unknown().into()),
            None => (text, None),
        };
        match (kind, index) {
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("cuda", index) => Ok(Self::Cuda(index)),
            _ => Err(unknown().into()),
        }
    }
}

impl TryFrom<String> for DeviceSpec {
    type Error = crate::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DeviceSpec> for String {
    fn from(spec: DeviceSpec) -> Self {
        spec.to_string()
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

/// The processor of this machine, computed with burn's pure-Rust backend.
///
/// # Example
///
/// ```
/// use burn::tensor::Tensor;
/// use ragtune_core::device;
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &device::cpu());
/// assert_eq!(x.sum().into_scalar::<f32>(), 3.0);
/// ```
#[cfg(feature = "cpu")]
#[must_use]
pub fn cpu() -> Device {
    Device::flex()
}

/// Whether a device is the processor of this machine.
pub(crate) fn is_cpu(device: &Device) -> bool {
    #[cfg(feature = "cpu")]
    return *device == cpu();
    #[cfg(not(feature = "cpu"))]
    {
        let _ = device;
        false
    }
}

/// The selector of a listed adapter; `None` for a kind of adapter that burn lists but has no selector for.
#[cfg(feature = "wgpu")]
fn kind_of(adapter: &Device, adapters: usize) -> Option<burn::tensor::DeviceKind> {
    use burn::tensor::DeviceKind::{Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu};

    (0..adapters)
        .flat_map(|i| [DiscreteGpu(i), IntegratedGpu(i), VirtualGpu(i), Cpu])
        .find(|kind| Device::wgpu(kind.clone()) == *adapter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn names_are_read_and_written() {
        for (text, spec) in [
            ("cpu", DeviceSpec::Cpu),
            ("wgpu", DeviceSpec::Wgpu(None)),
            ("wgpu:0", DeviceSpec::Wgpu(Some(0))),
            ("cuda", DeviceSpec::Cuda(None)),
            ("cuda:12", DeviceSpec::Cuda(Some(12))),
        ] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap(), spec);
            assert_eq!(spec.to_string(), text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<DeviceSpec>(&json).unwrap(), spec);
        }
    }

    #[test]
    fn what_names_no_device_is_refused() {
        for text in [
            "",
            "gpu",
            "CPU",
            "cpu:0",
            "cpu:",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:1:2",
            "wgpu: 1",
            "wgpu:99999999999999999999999",
            "cuda:\u{0661}",
        ] {
            let refused = text.parse::<DeviceSpec>();
            assert!(
                matches!(&refused, Err(Error::Device(DeviceError::Unknown { .. }))),
                "{text:?}: {refused:?}"
            );
            assert!(serde_json::from_str::<DeviceSpec>(&format!("{text:?}")).is_err());
        }
    }

    #[cfg(feature = "cpu")]
    #[test]
    fn the_processor_is_always_there() {
        assert!(is_cpu(&DeviceSpec::default().device().unwrap()));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_feature_is_named() {
        let error = DeviceSpec::Cuda(Some(0)).device().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the device cuda:0 needs the feature `cuda`: build with `--features cuda`"
        );
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn an_adapter_that_does_not_exist_is_an_error_not_a_panic() {
        let error = DeviceSpec::Wgpu(Some(9_999)).device().unwrap_err();
        assert!(
            matches!(error, Error::Device(DeviceError::NotFound { .. })),
            "{error}"
        );
    }
}
