//! Panics as errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; what it panics with comes as words. What `work` has changed may be half done, and must not be used.
///
/// # Errors
/// The message of the panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| words(payload.as_ref()))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it does not say why".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(caught(|| 1), Ok(1));
        let size = 3;
        let error = caught(|| panic!("{size} is too many")).expect_err("panics");
        assert_eq!(error, "3 is too many");
        let error = caught(|| panic!("text")).expect_err("panics");
        assert_eq!(error, "text");
        assert!(caught(|| std::panic::panic_any(1)).is_err());
    }
}
