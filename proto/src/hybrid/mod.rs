//! The hybrid transport: QR invitation, advert, tunnel addresses, Noise and the two ceremonies
//! (CTAP 2.3 §11.5).
