//! Scoring of trained models and the artefact format.
