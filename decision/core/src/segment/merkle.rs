//! The Merkle tree hash of RFC 6962, section 2.1, with SHA-256.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Root over the leaves in order; of no leaf, the hash of nothing.
pub fn tree_hash<L: AsRef<[u8]>>(leaves: &[L]) -> Digest {
    let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| hash(0, leaf.as_ref(), &[])).collect();
    Digest::from_bytes(root(&hashes))
}

/// Splits at the largest power of two that is smaller than the number of leaves. Depth is its logarithm.
fn root(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        many => {
            let half = many.len().div_ceil(2).next_power_of_two();
            let (left, right) = many.split_at(half.min(many.len()));
            hash(1, &root(left), &root(right))
        }
    }
}

/// The first byte keeps leaves (0) and nodes (1) apart.
fn hash(kind: u8, left: &[u8], right: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([kind]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn agrees_with_the_vectors_of_certificate_transparency() {
        // Inputs and roots of the reference implementation's `merkle_tree_test.cc` (RFC 6962).
        let leaves: Vec<Vec<u8>> =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
                .map(bytes)
                .to_vec();
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (count, root) in (1..).zip(roots) {
            assert_eq!(tree_hash(&leaves[..count]).to_string(), format!("sha256:{root}"), "{count} leaves");
        }
        let none: [&[u8]; 0] = [];
        assert_eq!(tree_hash(&none), Digest::of_bytes(b""));
    }
}
