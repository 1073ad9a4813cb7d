//! Whatever the bytes, as Linear's answer they are a page or are refused.
#![no_main]

mod answers;

use libfuzzer_sys::fuzz_target;

const LEFT: [&str; 6] = ["team", "states", "labels", "users", "teams", "history"];

fuzz_target!(|input: &[u8]| answers::feed("linear", "SHOP", &LEFT, input));
