#!/usr/bin/env python3
"""Mints tokens with PyJWT or jwcrypto.

usage: mint.py pyjwt|jwcrypto, with {"claims": [{...}, ...]} on stdin.
Prints a list of {"algorithm", "jwk", "tokens"}: the key as the library exports it, and one token for each set of claims.
It must not fix what a library exports: that is what the verifier has to read.
"""

import json
import os
import sys

CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS = [f"{family}{size}" for family in ("HS", "RS", "PS", "ES") for size in (256, 384, 512)] + ["EdDSA"]


def by_pyjwt(algorithm, claims):
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm.startswith("HS"):
        private = public = os.urandom(int(algorithm[2:]) // 8)
    elif algorithm.startswith("ES"):
        private = ec.generate_private_key(curves[algorithm]())
        public = private.public_key()
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        public = private.public_key()
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key()
    exported = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
    exported["kid"] = f"pyjwt-{algorithm}"
    return exported, [jwt.encode(each, private, algorithm=algorithm, headers={"kid": exported["kid"]}) for each in claims]


def by_jwcrypto(algorithm, claims):
    from jwcrypto.jwk import JWK
    from jwcrypto.jwt import JWT

    kid = f"jwcrypto-{algorithm}"
    if algorithm.startswith("HS"):
        key = JWK.generate(kty="oct", size=int(algorithm[2:]), kid=kid)
    elif algorithm.startswith("ES"):
        key = JWK.generate(kty="EC", crv=CURVES[algorithm], kid=kid, use="sig")
    elif algorithm == "EdDSA":
        key = JWK.generate(kty="OKP", crv="Ed25519", kid=kid, use="sig", alg="EdDSA")
    else:
        key = JWK.generate(kty="RSA", size=2048, kid=kid, use="sig", alg=algorithm)
    exported = json.loads(key.export() if algorithm.startswith("HS") else key.export_public())
    tokens = []
    for each in claims:
        token = JWT(header={"alg": algorithm, "kid": kid}, claims=each)
        token.make_signed_token(key)
        tokens.append(token.serialize())
    return exported, tokens


def main():
    mint = {"pyjwt": by_pyjwt, "jwcrypto": by_jwcrypto}[sys.argv[1]]
    claims = json.load(sys.stdin)["claims"]
    minted = []
    for algorithm in ALGORITHMS:
        jwk, tokens = mint(algorithm, claims)
        minted.append({"algorithm": algorithm, "jwk": jwk, "tokens": tokens})
    json.dump(minted, sys.stdout)


main()
