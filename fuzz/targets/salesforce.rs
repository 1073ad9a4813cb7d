//! Whatever the bytes, as Salesforce's answer they are a page or are refused.
#![no_main]

mod answers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| answers::feed("salesforce", "cases", &["fields", "statuses", "oldest"], input));
