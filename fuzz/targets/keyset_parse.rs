//! Whatever the text, it is a key file or is refused; what is one reads back the same from its own text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twinflow_vault::KeySet;

fuzz_target!(|text: &str| {
    if let Ok(keys) = KeySet::parse(text) {
        let again = KeySet::parse(&keys.render()).unwrap();
        assert_eq!(*again.render(), *keys.render());
        assert!(again.ids().eq(keys.ids()));
    }
});
