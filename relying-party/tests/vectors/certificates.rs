//! Certificates that vouch for a device key, and those that do not.

use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::SigningKey;
use handfast_proto::extension::attested_key::{Attestation, AttestedKey, Made};
use handfast_relying_party::cmtg::Mode;
use handfast_relying_party::compat::{
    AttestationFault, CertificateFault, KeyError, NotARoot, Outcome, PathFault, Proof, Roots,
    Standing,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, IsCa, KeyPair, PKCS_ED25519,
};

use crate::keys::{ENTIRE, MODEL, World, mismatch, new_key};

/// A certificate's parts, good until a test alters them.
struct Paper {
    parameters: CertificateParams,
    key: KeyPair,
}

impl Paper {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "AA");
        name.push(DnType::OrganizationName, "Vendor");
        name.push(DnType::OrganizationalUnitName, "Authenticator Attestation");
        name.push(DnType::CommonName, "Model 5");
        parameters.distinguished_name = name;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.custom_extensions = vec![model(&[&[0x04, 16], MODEL.0.as_slice()].concat())];
        Self {
            parameters,
            key: KeyPair::generate().unwrap(),
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut paper = Self::new();
        change(&mut paper);
        paper
    }

    fn der(&self) -> Vec<u8> {
        self.parameters
            .self_signed(&self.key)
            .unwrap()
            .der()
            .to_vec()
    }

    /// An output of a device key that these certificates vouch for.
    fn vouch(&self, device: &SigningKey, certificates: Vec<Value>) -> Map {
        let mut output = AttestedKey::make(device, ENTIRE, Made::PackedSelf, MODEL);
        let signer = SigningKey::from_pkcs8_der(self.key.serialized_der()).unwrap();
        let statement = Map::new()
            .with("alg", signer.algorithm().id())
            .with("sig", signer.sign(&output.attested_bytes()))
            .with("x5c", certificates);
        output.attestation = Attestation::parse("packed", &statement).unwrap();
        output.to_map()
    }
}

fn model(content: &[u8]) -> CustomExtension {
    const MODEL: &[u64] = &[1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];
    CustomExtension::from_oid_content(MODEL, content.to_vec())
}

fn rename(paper: &mut Paper, attribute: DnType, value: Option<&str>) {
    let name = &mut paper.parameters.distinguished_name;
    name.remove(attribute.clone());
    if let Some(value) = value {
        name.push(attribute, value);
    }
}

fn certified(paper: &Paper) -> Result<Proof, AttestationFault> {
    let (world, device) = (World::new(), new_key());
    let output = paper.vouch(&device, vec![paper.der().into()]);
    match world.device(&device, output) {
        Outcome::Presented(Standing::New(key)) => Ok(key.proof),
        Outcome::Presented(Standing::Error(KeyError::Attestation(fault))) => Err(fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_vouches_and_is_handed_over() {
    let paper = Paper::new();
    let der = paper.der();
    let (world, device) = (World::new(), new_key());
    let found = world.device(&device, paper.vouch(&device, vec![der.clone().into()]));
    let Outcome::Presented(Standing::New(key)) = found else {
        panic!("{found:?}");
    };
    assert_eq!(key.proof, Proof::Certificates(vec![der]));
    let nameless = Paper::with(|paper| paper.parameters.custom_extensions.clear());
    assert!(certified(&nameless).is_ok(), "a model need not be named");
    let eddsa = Paper::with(|paper| paper.key = KeyPair::generate_for(&PKCS_ED25519).unwrap());
    assert!(certified(&eddsa).is_ok());
}

#[test]
fn a_certificate_that_lacks_something_does_not_vouch() {
    use CertificateFault::{Authority, Key, Malformed, Model, ModelCritical, Subject};
    let no_ca = |paper: &mut Paper| paper.parameters.is_ca = IsCa::NoCa;
    let ca = |paper: &mut Paper| {
        paper.parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let extension = |content: Vec<u8>| {
        move |paper: &mut Paper| paper.parameters.custom_extensions = vec![model(&content)]
    };
    let other_unit = |paper: &mut Paper| {
        rename(paper, DnType::OrganizationalUnitName, Some("Sales"));
    };
    let unit = |paper: &mut Paper| rename(paper, DnType::OrganizationalUnitName, None);
    let country = |paper: &mut Paper| rename(paper, DnType::CountryName, None);
    let company = |paper: &mut Paper| rename(paper, DnType::OrganizationName, None);
    let name = |paper: &mut Paper| rename(paper, DnType::CommonName, None);
    let critical = |paper: &mut Paper| {
        paper.parameters.custom_extensions[0].set_criticality(true);
    };
    let p384 = |paper: &mut Paper| {
        paper.key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    };
    let papers = [
        (Paper::with(no_ca), Authority),
        (Paper::with(ca), Authority),
        (
            Paper::with(extension([&[4, 16], [6; 16].as_slice()].concat())),
            Model,
        ),
        (Paper::with(extension(vec![4, 0])), Malformed),
        (Paper::with(extension(MODEL.0.to_vec())), Malformed),
        (Paper::with(critical), ModelCritical),
        (Paper::with(other_unit), Subject),
        (Paper::with(unit), Subject),
        (Paper::with(country), Subject),
        (Paper::with(company), Subject),
        (Paper::with(name), Subject),
    ];
    for (paper, fault) in papers {
        assert_eq!(certified(&paper), Err(fault.into()));
    }
    // A key that is not verified here cannot have signed either.
    let (world, device, paper) = (World::new(), new_key(), Paper::new());
    for (other, fault) in [(Paper::with(p384).der(), Key), (vec![0x30, 0], Malformed)] {
        let found = world.device(&device, paper.vouch(&device, vec![other.into()]));
        let error = KeyError::Attestation(fault.into());
        assert_eq!(found, Outcome::Presented(Standing::Error(error)));
    }
    // Who signed is not whose certificate it is; and what follows must be certificates too.
    let other = paper.vouch(&device, vec![Paper::new().der().into()]);
    let error = KeyError::Attestation(mismatch());
    assert_eq!(
        world.device(&device, other),
        Outcome::Presented(Standing::Error(error))
    );
    let chain = paper.vouch(&device, vec![paper.der().into(), [1, 2].into()]);
    let error = KeyError::Attestation(Malformed.into());
    assert_eq!(
        world.device(&device, chain),
        Outcome::Presented(Standing::Error(error))
    );
}

#[test]
fn no_byte_of_a_certificate_is_read_beyond_its_place() {
    let (world, device, paper) = (World::new(), new_key(), Paper::new());
    let der = paper.der();
    let mut refused = 0;
    for at in (0..der.len()).step_by(4) {
        let mut altered = der.clone();
        altered[at] ^= 0x11;
        let found = world.device(&device, paper.vouch(&device, vec![altered.into()]));
        let Outcome::Presented(standing) = found else {
            panic!("byte {at}: {found:?}");
        };
        refused += usize::from(matches!(standing, Standing::Error(_)));
        let cut = vec![der[..at].to_vec().into()];
        let found = world.device(&device, paper.vouch(&device, cut));
        let malformed = KeyError::Attestation(CertificateFault::Malformed.into());
        assert_eq!(found, Outcome::Presented(Standing::Error(malformed)));
    }
    assert!(refused > der.len() / 12, "{refused} of {}", der.len());
}

/// A time in which the vectors' certificates are valid, and one after it.
const NOW: u64 = 1_800_000_000;
const LATE: u64 = 5_000_000_000;

#[test]
fn the_vectors_certificates_lead_to_their_root_and_to_no_other() {
    let all = crate::vectors("trust-group.json");
    let root = all["meta"]["attestationCaCert"].as_str().unwrap();
    let root = hex::decode(root).unwrap();
    let roots = Roots::new(std::slice::from_ref(&root)).unwrap();
    let others = Roots::new(&[authority("Others").der().to_vec()]).unwrap();
    let mut found = 0;
    for vector in all["vectors"].as_array().unwrap() {
        let Ok((_, compat)) = crate::play(vector, Mode::Strict) else {
            continue;
        };
        let device = match compat.device_pub_key {
            Outcome::Presented(Standing::New(key)) => Some(key.proof),
            _ => None,
        };
        let supplemental = match compat.supplemental_pub_keys {
            Outcome::Presented(standings) => standings,
            _ => Vec::new(),
        };
        let supplemental = supplemental.into_iter().map(|standing| match standing {
            Standing::New(key) | Standing::Known(key) => key.proof,
            Standing::Error(error) => panic!("{error:?}"),
        });
        for proof in device.into_iter().chain(supplemental) {
            let Proof::Certificates(certificates) = proof else {
                continue;
            };
            assert_eq!(roots.vouch(&certificates, NOW), Ok(()));
            assert_eq!(roots.vouch(&certificates, LATE), Err(PathFault::NotNow));
            assert_eq!(others.vouch(&certificates, NOW), Err(PathFault::Unknown));
            let nobody = Roots::default().vouch(&certificates, NOW);
            assert_eq!(nobody, Err(PathFault::Unknown));
            for at in 0..certificates[0].len() {
                let mut altered = certificates.clone();
                altered[0][at] ^= 1 << (at % 8);
                assert!(roots.vouch(&altered, NOW).is_err(), "byte {at}");
            }
            found += 1;
        }
    }
    assert_eq!(found, 2);
    assert!(matches!(Roots::new(&[vec![0x30, 0]]), Err(NotARoot)));
    assert_eq!(roots.vouch(&[], NOW), Err(PathFault::Invalid));
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    let distinguished = &mut parameters.distinguished_name;
    distinguished.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_way_over_another_authority_must_be_whole() {
    let root = authority("Root");
    let mut parameters = CertificateParams::default();
    let distinguished = &mut parameters.distinguished_name;
    distinguished.push(DnType::CommonName, "Between");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let between = CertifiedIssuer::signed_by(parameters, key, &root).unwrap();
    let paper = Paper::new();
    let leaf = paper.parameters.signed_by(&paper.key, &between).unwrap();
    let (leaf, between) = (leaf.der().to_vec(), between.der().to_vec());
    let roots = Roots::new(&[root.der().to_vec()]).unwrap();
    assert_eq!(roots.vouch(&[leaf.clone(), between.clone()], NOW), Ok(()));
    let alone = std::slice::from_ref(&leaf);
    assert_eq!(roots.vouch(alone, NOW), Err(PathFault::Unknown));
    let stranger = authority("Between").der().to_vec();
    assert!(roots.vouch(&[leaf, stranger], NOW).is_err());
    // A root's own word is no attestation.
    assert!(roots.vouch(&[between], NOW).is_err());
}
