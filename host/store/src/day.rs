//! The rows of a symbol-day in a reader's hands.

use crate::Manifest;
use crate::frame::Frame;
use ghtrader_core::TickView;
use std::sync::Arc;

/// Rows of a symbol-day, mapped or read; cloning is cheap and the rows live as long as any clone.
#[derive(Debug, Clone)]
pub struct TickDay(Arc<(Manifest, Frame)>);

impl TickDay {
    pub(crate) fn new(manifest: Manifest, frame: Frame) -> Self {
        Self(Arc::new((manifest, frame)))
    }

    /// The rows.
    pub fn view(&self) -> TickView<'_> {
        self.0.1.tick_view()
    }

    /// What is stored.
    pub fn manifest(&self) -> &Manifest {
        &self.0.0
    }
}
