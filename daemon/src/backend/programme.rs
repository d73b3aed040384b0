//! placeholder
/// p
pub struct Programme;
impl Programme {
    /// n
    pub fn new(_: f64) -> Self { Self }
    /// f
    pub fn frame(&mut self) -> [f64; 2] { [0.0, 0.0] }
}
