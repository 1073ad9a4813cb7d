//! Whatever the bytes, as Zendesk's answer they are a page or are refused: to the strict connector and to the detailed.
#![no_main]

mod answers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    answers::feed("zendesk", "tickets", &[], input);
    answers::feed("zendesk_detailed", "tickets", &["agents", "groups"], input);
});
