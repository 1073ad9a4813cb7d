//! What the vault promises, one test a promise. `given` has what the tests start from.

#[cfg(test)]
mod boundaries;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod given;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod key_files;
#[cfg(test)]
mod key_sources;
#[cfg(test)]
mod output;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod pseudonyms;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod salamander;
#[cfg(test)]
mod tampering;
