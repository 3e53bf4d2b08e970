"""What an outside library (python-fido2) says of the engine's answers. Argument: the socket."""

import os
import socket
import struct
import sys

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.attestation import Attestation, AttestationType
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.ctap2.base import AttestationResponse
from fido2.ctap2.pin import PinProtocolV2
from fido2.hid import CAPABILITY
from fido2.webauthn import AttestedCredentialData, AuthenticatorData

RP = {"id": "example.org", "name": "Example"}


class Socket(CtapDevice):
    """The engine behind `serve-ctap`."""

    def __init__(self, path):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(20)
        self.stream.connect(path)

    @property
    def capabilities(self):
        return CAPABILITY.CBOR

    @classmethod
    def list_devices(cls):
        return iter(())

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        self.stream.sendall(struct.pack(">I", len(data)) + data)
        (length,) = struct.unpack(">I", self.read(4))
        return self.read(length)

    def read(self, length):
        data = b""
        while len(data) < length:
            some = self.stream.recv(length - len(data))
            assert some, "the connection ended"
            data += some
        return data


def status_of(action):
    try:
        action()
    except CtapError as error:
        return error.code
    return CtapError.ERR.SUCCESS


def make(ctap, user, algorithms, formats=None, exclude=None, extensions=None):
    """Makes a passkey, checks all that can be checked, and returns it with its client data hash."""
    client_hash = os.urandom(32)
    params = [{"alg": alg, "type": "public-key"} for alg in algorithms]
    request = {
        1: client_hash,
        2: RP,
        3: {"id": user, "name": "name", "displayName": "Display"},
        4: params,
        7: {"rk": True, "uv": True},
    }
    if exclude:
        request[5] = exclude
    if extensions:
        request[6] = extensions
    if formats:
        request[11] = formats
    made = AttestationResponse.from_dict(ctap.send_cbor(1, request))
    flags = AuthenticatorData.FLAG
    wanted = flags.UP | flags.UV | flags.AT | flags.BE
    assert made.auth_data.flags & wanted == wanted, made.auth_data.flags
    assert made.auth_data.counter == 0
    data = made.auth_data.credential_data
    assert isinstance(data, AttestedCredentialData)
    assert len(data.credential_id) == 32
    result = Attestation.for_type(made.fmt)().verify(
        made.att_stmt, made.auth_data, client_hash
    )
    kind = {"none": AttestationType.NONE, "packed": AttestationType.SELF}[made.fmt]
    assert result.attestation_type == kind, result
    return made


def sign_in(ctap, made):
    """Signs in with this passkey."""
    data = made.auth_data.credential_data
    client_hash = os.urandom(32)
    listed = [{"id": data.credential_id, "type": "public-key"}]
    got = ctap.get_assertion(RP["id"], client_hash, listed, options={"uv": True})
    got.verify(client_hash, data.public_key)
    assert got.credential["id"] == data.credential_id
    assert got.user["id"] is not None


def sign_in_as_somebody(ctap, passkeys):
    """Signs in with any of these passkeys."""
    client_hash = os.urandom(32)
    got = ctap.get_assertion(RP["id"], client_hash, options={"uv": True})
    all_data = [made.auth_data.credential_data for made in passkeys]
    (data,) = [it for it in all_data if it.credential_id == got.credential["id"]]
    got.verify(client_hash, data.public_key)
    # The tool chooses: the newest comes first, and each of the others once.
    assert got.user_selected is None and got.number_of_credentials == len(passkeys)
    assert data == all_data[-1]
    seen = [data.credential_id]
    for _ in passkeys[1:]:
        got = ctap.get_next_assertion()
        (data,) = [it for it in all_data if it.credential_id == got.credential["id"]]
        got.verify(client_hash, data.public_key)
        seen.append(data.credential_id)
    assert seen == [it.credential_id for it in reversed(all_data)]
    assert status_of(ctap.get_next_assertion) == CtapError.ERR.NOT_ALLOWED


def agree(ctap):
    """Agrees on a secret, as a client does that wants secrets of passkeys."""
    protocol = PinProtocolV2()
    theirs = ctap.client_pin(protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)[1]
    ours, secret = protocol.encapsulate(theirs)

    def cover(salts):
        covered = protocol.encrypt(secret, salts)
        tag = protocol.authenticate(secret, covered)
        return {1: ours, 2: covered, 3: tag, 4: protocol.VERSION}

    return cover, lambda covered: protocol.decrypt(secret, covered)


def secrets_of_passkeys(ctap, info):
    """`hmac-secret` and `prf` make the same of the same salts."""
    assert info.pin_uv_protocols == [2]
    assert {"hmac-secret", "hmac-secret-mc"} <= set(info.extensions)
    assert ctap.client_pin(2, ClientPin.CMD.GET_UV_RETRIES)[5] == 8
    cover, uncover = agree(ctap)
    salts = bytes([1]) * 32 + bytes([2]) * 32
    asked = {"hmac-secret": True, "hmac-secret-mc": cover(salts)}
    made = make(ctap, b"seven", [-7], extensions=asked)
    assert made.auth_data.extensions["hmac-secret"] is True
    secrets = uncover(made.auth_data.extensions["hmac-secret-mc"])
    assert len(secrets) == 64
    listed = [{"id": made.auth_data.credential_data.credential_id, "type": "public-key"}]
    get = lambda extensions: ctap.get_assertion(
        RP["id"], bytes(32), listed, extensions, {"uv": True}
    )
    got = get({"hmac-secret": cover(salts)})
    assert uncover(got.auth_data.extensions["hmac-secret"]) == secrets
    one = get({"hmac-secret": cover(salts[:32])})
    assert uncover(one.auth_data.extensions["hmac-secret"]) == secrets[:32]
    wrong = cover(salts)
    wrong[3] = bytes(32)
    status = status_of(lambda: get({"hmac-secret": wrong}))
    assert status == CtapError.ERR.PIN_AUTH_INVALID
    first, second = salts[:32], salts[32:]
    request = {1: RP["id"], 2: bytes(32), 3: listed, 5: {"uv": True}}
    request[4] = {"prf": {"eval": {"first": first, "second": second}}}
    results = ctap.send_cbor(2, request)[8]["prf"]["results"]
    assert results["first"] + results["second"] == secrets


def what_passkeys_keep(ctap, info):
    """`credProtect`, `credBlob` and `largeBlob`."""
    assert {"credBlob", "credProtect", "largeBlob"} <= set(info.extensions)
    assert info.max_cred_blob_length == 32
    asked = {"credProtect": 3, "credBlob": b"left here", "largeBlob": {"support": "required"}}
    made = make(ctap, b"eight", [-7], extensions=asked)
    assert made.auth_data.extensions == {"credProtect": 3, "credBlob": True}
    assert made.unsigned_extension_outputs["largeBlob"] == {"supported": True}
    listed = [{"id": made.auth_data.credential_data.credential_id, "type": "public-key"}]
    request = {1: RP["id"], 2: bytes(32), 3: listed, 5: {"uv": True}}
    blob = os.urandom(600)
    write = {"largeBlob": {"write": blob, "originalSize": 2000}}
    assert ctap.send_cbor(2, request | {4: write})[8]["largeBlob"] == {"written": True}
    read = {"credBlob": True, "largeBlob": {"read": True}}
    got = ctap.send_cbor(2, request | {4: read})
    assert got[8]["largeBlob"] == {"blob": blob, "originalSize": 2000}
    assert AuthenticatorData(got[2]).extensions == {"credBlob": b"left here"}
    # Without verification it is not there, and silence shows nothing of others than it might.
    silent = lambda ids: ctap.get_assertion(RP["id"], bytes(32), ids, options={"up": False})
    assert status_of(lambda: silent(listed)) == CtapError.ERR.NO_CREDENTIALS


def attested(output, name, prefix, signed, signature):
    """Checks a key of its own attestation: its signature, and the attestation by itself."""
    key = CoseKey.parse(cbor.decode(output[name]))
    key.verify(signed, signature)
    flipped = signature[:-1] + bytes([signature[-1] ^ 1])
    try:
        key.verify(signed, flipped)
        raise AssertionError("another signature holds too")
    except InvalidSignature:
        pass
    assert output["nonce"] == b""
    assert "epAtt" not in output
    if output["fmt"] == "none":
        assert output["attStmt"] == {} and output["aaguid"] == bytes(16)
        return key
    statement = output["attStmt"]
    assert output["fmt"] == "packed" and set(statement) == {"alg", "sig"}
    assert statement["alg"] == key.ALGORITHM
    start = prefix + b"\x00\xff\xff\xff\xff"
    assert len(start) == 37
    key.verify(start + output["aaguid"] + output[name] + output["nonce"], statement["sig"])
    return key


def extended(ctap, made, extensions):
    """Signs in with extensions; returns the signed outputs, the unsigned ones, and what is signed."""
    client_hash = os.urandom(32)
    listed = [{"id": made.auth_data.credential_data.credential_id, "type": "public-key"}]
    request = {1: RP["id"], 2: client_hash, 3: listed, 4: extensions, 5: {"uv": True}}
    got = ctap.send_cbor(2, request)
    made.auth_data.credential_data.public_key.verify(got[2] + client_hash, got[3])
    data = AuthenticatorData(got[2])
    return data.extensions, got[8], got[2] + client_hash


def compat(ctap, info):
    """Extensions that WebAuthn has no more, for ES256 and EdDSA."""
    names = {"devicePubKey", "supplementalPubKeys", "relationshipPublicKey"}
    assert names <= set(info.extensions), info.extensions
    for user, alg in ((b"compat one", -7), (b"compat two", -8)):
        asked = {"devicePubKey": {"attestation": "none"}}
        made = make(ctap, user, [alg], extensions=asked)
        bare = made.auth_data.extensions["devicePubKey"]
        assert bare["fmt"] == "none" and bare["scope"] == 0
        asked = {
            "cmtgKey": True,
            "devicePubKey": {"attestation": "direct", "attestationFormats": ["packed"]},
            "relationshipPublicKey": True,
            "supplementalPubKeys": {"scopes": ["device", "provider"]},
        }
        signed, unsigned, message = extended(ctap, made, asked)
        assert set(signed) == set(unsigned) == set(asked)
        device = signed["devicePubKey"]
        assert device["scope"] == 0 and device["fmt"] == "packed"
        assert device["dpk"] == bare["dpk"] and device["aaguid"] == bytes(info.aaguid)
        prefix = b"device bound key attestation sig"
        attested(device, "dpk", prefix, message, unsigned["devicePubKey"])
        keys = signed["supplementalPubKeys"]
        assert [key["scope"] for key in keys] == ["device", "provider"]
        assert keys[0]["spk"] == device["dpk"] and keys[1]["spk"] == signed["cmtgKey"]
        signatures = unsigned["supplementalPubKeys"]
        assert len(signatures) == 2
        for key, signature in zip(keys, signatures):
            prefix = b"supplementalPubKeys attestation."
            attested(key, "spk", prefix, message, signature)
        assert signed["relationshipPublicKey"] == signed["cmtgKey"]
        assert unsigned["relationshipPublicKey"] == unsigned["cmtgKey"]


def main(path):
    ctap = Ctap2(Socket(path))
    other = Ctap2(Socket(path))
    info = ctap.info
    assert {"FIDO_2_0", "FIDO_2_1"} <= set(info.versions)
    assert info.options["rk"] and info.options["uv"]
    assert "clientPin" not in info.options
    ctap.selection()

    es256 = make(ctap, b"one", [-7])
    assert es256.fmt == "none"
    assert isinstance(es256.auth_data.credential_data.public_key, ES256)
    packed = make(ctap, b"two", [-7], ["tpm", "packed", "none"])
    assert packed.fmt == "packed"
    eddsa = make(ctap, b"three", [-257, -8, -7], ["packed"])
    assert isinstance(eddsa.auth_data.credential_data.public_key, EdDSA)

    # Whatever connection asks: there is one state.
    for made in (es256, packed, eddsa):
        sign_in(ctap, made)
        sign_in(other, made)
    sign_in_as_somebody(other, [es256, packed, eddsa, make(ctap, b"four", [-7])])

    excluded = [{"id": eddsa.auth_data.credential_data.credential_id, "type": "public-key"}]
    ERR = CtapError.ERR
    assert status_of(lambda: make(ctap, b"three", [-7], exclude=excluded)) == ERR.CREDENTIAL_EXCLUDED
    assert status_of(lambda: make(ctap, b"none", [-257])) == ERR.UNSUPPORTED_ALGORITHM
    absent = [{"id": bytes(32), "type": "public-key"}]
    wanted = lambda: ctap.get_assertion(RP["id"], bytes(32), absent)
    assert status_of(wanted) == ERR.NO_CREDENTIALS

    # Another for the same account takes the place of the first.
    again = make(ctap, b"four", [-7], ["tpm"])
    assert again.fmt == "none"
    sign_in_as_somebody(ctap, [es256, packed, eddsa, again])

    group = make(ctap, b"five", [-7], extensions={"cmtgKey": True})
    assert "cmtgKey" in group.auth_data.extensions
    assert "cmtgKey" in group.unsigned_extension_outputs

    # What a passkey makes of salts, as an HMAC of its own: the same at each sign-in.
    assert "prf" in info.extensions
    salt, other_salt = bytes([1]) * 32, bytes([2]) * 32
    prf = {"prf": {"eval": {"first": salt, "second": other_salt}}}
    secret = make(ctap, b"six", [-7], extensions=prf)
    made = secret.unsigned_extension_outputs["prf"]
    assert made["enabled"] is True
    listed = [{"id": secret.auth_data.credential_data.credential_id, "type": "public-key"}]
    request = {1: RP["id"], 2: bytes(32), 3: listed, 4: prf, 5: {"uv": True}}
    got = other.send_cbor(2, request)[8]["prf"]["results"]
    assert got == made["results"] and got["first"] != got["second"]
    assert {len(result) for result in got.values()} == {32}

    secrets_of_passkeys(ctap, info)
    what_passkeys_keep(ctap, info)

    compat(ctap, info)

    ctap.reset()
    assert status_of(lambda: ctap.get_assertion(RP["id"], bytes(32))) == ERR.NO_CREDENTIALS
    sign_in(other, make(other, b"one", [-7]))
    print("verified")


if __name__ == "__main__":
    main(sys.argv[1])
