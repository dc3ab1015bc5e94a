use ghtrader_core::{Digest, ErrorClass, Problem};

/// Why a model cannot be stored, opened or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {reason}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// A file is larger than any model of this family needs.
    #[error("{path} has {bytes} bytes; the largest allowed is {bound}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        bound: u64,
    },
    /// `model.toml` does not say what it must.
    #[error("{path} is no model manifest: {reason}")]
    Manifest {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The content is not what the folder's name says.
    #[error("the model in {path} has the digest {found}, its folder says {named}")]
    Digest {
        /// The folder.
        path: String,
        /// Digest of the content.
        found: Digest,
        /// Name of the folder.
        named: String,
    },
    /// The weights do not fit the manifest.
    #[error("{path} holds no weights for this model: {reason}")]
    Weights {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The features offered are not those the model was trained on.
    #[error("the model wants feature schema {wanted}, the columns given have {given}: {}", differences.join("; "))]
    SchemaMismatch {
        /// Schema hash of the model.
        wanted: String,
        /// Schema hash of the columns given.
        given: String,
        /// One line for each position that differs.
        differences: Vec<String>,
    },
    /// The stored test rows score otherwise than when the model was trained.
    #[error("test row {row} of the model scores {found:?} here and scored {stored:?} when it was trained")]
    SelfTest {
        /// The row.
        row: usize,
        /// Bits of the scores as computed now.
        found: [u64; 3],
        /// Bits of the scores as stored.
        stored: [u64; 3],
    },
    /// Columns of the wrong number or of unequal length.
    #[error("scoring wants {wanted}, got {given}")]
    Shape {
        /// What is wanted.
        wanted: String,
        /// What was given.
        given: String,
    },
}

impl ModelError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "model_io",
            Self::TooLarge { .. } => "model_too_large",
            Self::Manifest { .. } => "model_manifest_invalid",
            Self::Digest { .. } => "model_digest_mismatch",
            Self::Weights { .. } => "model_weights_invalid",
            Self::SchemaMismatch { .. } => "schema_mismatch",
            Self::SelfTest { .. } => "model_self_test_failed",
            Self::Shape { .. } => "model_shape_mismatch",
        }
    }
}

impl From<ModelError> for Problem {
    fn from(e: ModelError) -> Self {
        let (class, remedy) = match &e {
            ModelError::Io { .. } => {
                (ErrorClass::Unavailable, "check that the folder exists, may be written and has room")
            }
            ModelError::TooLarge { .. } | ModelError::Manifest { .. } | ModelError::Weights { .. } => (
                ErrorClass::User,
                "give a folder that `ghtrader train run` wrote; other formats, pickle above all, are not opened",
            ),
            ModelError::Digest { .. } => {
                (ErrorClass::User, "the files were changed after training: restore the folder or train again")
            }
            ModelError::SchemaMismatch { .. } => {
                (ErrorClass::User, "use the feature build the model was trained on, or train a model on this one")
            }
            ModelError::SelfTest { .. } => {
                (ErrorClass::Internal, "report the model digest and the machine; do not trade it here")
            }
            ModelError::Shape { .. } => {
                (ErrorClass::User, "give one column for each feature of the model, all of one length")
            }
        };
        Problem::new(e.code(), class, e.to_string(), remedy)
    }
}
