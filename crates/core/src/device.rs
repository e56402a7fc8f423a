//! Where tensors live and are computed: burn's run-time device handle.
//!
//! A model takes a `&Device` when it is loaded; nothing here picks one silently, because burn's own default depends on
//! the compiled features and panics without one.

pub use burn::tensor::Device;

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
