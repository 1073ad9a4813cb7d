//! Whatever the bytes, the header parses or is refused; what parses is kept as it is and names its key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twinflow_vault::{MAX_PLAINTEXT, OVERHEAD, Sealed};

fuzz_target!(|input: &[u8]| {
    if let Ok(sealed) = Sealed::try_from(input.to_vec()) {
        assert_eq!(input[..2], [1, 1]);
        assert_eq!(input[2..6], sealed.key_id().to_be_bytes());
        assert!((OVERHEAD..=OVERHEAD + MAX_PLAINTEXT).contains(&input.len()));
        assert_eq!(sealed.as_bytes(), input);
    }
});
