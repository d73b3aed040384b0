//! What the audio thread needs of the machine. The only unsafe code besides JACK's latency callback.

use no_denormals::no_denormals;

/// Runs the callback: denormals count as zero, and in development builds and tests the process stops where
/// memory is allocated or freed.
pub fn guarded<T>(callback: impl FnOnce() -> T) -> T {
    assert_no_alloc::assert_no_alloc(|| {
        // SAFETY: the flags are changed for this call alone and only move subnormal results to zero, which
        // no code in the callback tells from a result of zero; the guard inside restores them on return.
        unsafe { no_denormals(callback) }
    })
}
