//! The primitives, exactly as this crate calls them, against Project Wycheproof's vectors. Every set's count is
//! pinned: a loop that ran over nothing would be green too.

use super::{decrypt, encrypt};
use hkdf::Hkdf;
use sha2::Sha512;
use wycheproof::TestResult::Valid;
use wycheproof::{aead, hkdf as hkdf_set};

#[test]
fn aes_256_gcm_agrees_with_all_66_wycheproof_vectors_of_its_sizes() {
    let (mut valid, mut invalid, mut other_sizes) = (0, 0, 0);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for case in group.tests {
            let sizes = (<&[u8; 32]>::try_from(&case.key[..]), <&[u8; 12]>::try_from(&case.nonce[..]));
            let (Ok(key), Ok(nonce), Ok(tag)) = (sizes.0, sizes.1, <&[u8; 16]>::try_from(&case.tag[..]))
            else {
                other_sizes += 1;
                continue;
            };
            let mut text = case.ct.to_vec();
            let opened = decrypt(key, nonce, &case.aad, &mut text, tag);
            if case.result == Valid {
                valid += 1;
                assert_eq!((opened, &text[..]), (Ok(()), &case.pt[..]), "case {}", case.tc_id);
                assert_eq!(encrypt(key, nonce, &case.aad, &mut text).unwrap(), *tag, "case {}", case.tc_id);
                assert_eq!(text, case.ct[..], "case {}", case.tc_id);
            } else {
                invalid += 1;
                assert!(opened.is_err(), "case {}", case.tc_id);
                assert_eq!(text, case.ct[..], "case {}: text of a wrong tag came out", case.tc_id);
            }
        }
    }
    assert_eq!((valid, invalid, other_sizes), (39, 27, 250));
}

#[test]
fn hkdf_sha512_agrees_with_every_wycheproof_vector() {
    let (mut valid, mut invalid) = (0, 0);
    for group in hkdf_set::TestSet::load(hkdf_set::TestName::HkdfSha512).unwrap().test_groups {
        for case in group.tests {
            let mut okm = vec![0; case.size];
            let expanded =
                Hkdf::<Sha512>::new(Some(&case.salt), &case.ikm).expand_multi_info(&[&case.info], &mut okm);
            if case.result == Valid {
                valid += 1;
                expanded.unwrap();
                assert_eq!(okm, case.okm[..], "case {}", case.tc_id);
            } else {
                invalid += 1;
                assert!(expanded.is_err(), "case {}", case.tc_id);
            }
        }
    }
    assert_eq!((valid, invalid), (80, 3));
}
