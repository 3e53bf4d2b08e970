use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

fn masked(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first], length, &MASK].concat()
}

#[test]
fn every_length_has_its_one_form() {
    for (length, form) in [
        (0, &[0x80][..]),
        (125, &[0x80 | 125]),
        (126, &[0x80 | 126, 0, 126]),
        (0xFFFF, &[0x80 | 126, 0xFF, 0xFF]),
        (0x1_0000, &[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let bytes = masked(0x82, form);
        let (head, read) = Head::parse(&bytes).unwrap().unwrap();
        assert_eq!((head.length, read), (length, bytes.len()));
        assert_eq!(
            (head.last, head.kind, head.mask),
            (true, Kind::Binary, MASK)
        );
        let written = Written::new(true, Kind::Binary, usize::try_from(length).unwrap());
        let mut unmasked = [&[0x82], form].concat();
        unmasked[1] &= 0x7F;
        assert_eq!(written.as_bytes(), unmasked);
    }
    for form in [
        &[0x80 | 126, 0, 125][..],
        &[0x80 | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
        &[0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(Head::parse(&masked(0x82, form)), Err(FrameError::Length));
    }
}

#[test]
fn what_is_no_frame_of_a_client_is_told_as_early_as_it_shows() {
    for (bytes, error) in [
        (&[0xC2][..], FrameError::Reserved),
        (&[0xA2], FrameError::Reserved),
        (&[0x92], FrameError::Reserved),
        (&[0x81], FrameError::Text),
        (&[0x01], FrameError::Text),
        (&[0x83], FrameError::Unknown),
        (&[0x8B], FrameError::Unknown),
        (&[0x82, 0x05], FrameError::Unmasked),
        (&[0x09, 0x80], FrameError::Control),
        (&[0x88, 0x80 | 126], FrameError::Control),
        (&[0x8A, 0x80 | 127], FrameError::Control),
    ] {
        assert_eq!(Head::parse(bytes), Err(error), "{bytes:x?}");
    }
}

#[test]
fn a_head_that_is_cut_off_is_waited_for() {
    let whole = masked(0x02, &[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    for length in 0..whole.len() {
        assert_eq!(Head::parse(&whole[..length]), Ok(None));
    }
}

proptest! {
    #[test]
    fn a_mask_comes_off_in_any_parts(
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        mask in any::<[u8; 4]>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let mut parts = masked;
        let (first, second) = parts.split_at_mut(cut.index(payload.len() + 1));
        let next = unmask(first, mask);
        unmask(second, next);
        prop_assert_eq!(parts, payload);
    }

    #[test]
    fn no_bytes_harm(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(Some((head, read))) = Head::parse(&bytes) {
            prop_assert!(read <= MAX_MASKED_HEAD && read <= bytes.len());
            prop_assert!(head.length >> 63 == 0);
        }
    }
}
