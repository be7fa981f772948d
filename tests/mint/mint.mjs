#!/usr/bin/env node
// Mints tokens with jose, with {"claims": [{...}, ...]} on stdin; TOKEN_LIBRARIES is where tools/token_libraries.sh put it.
// Prints a list of {"algorithm", "jwk", "tokens"}: the key as the library exports it, and one token for each set of claims.
// It must not fix what the library exports: that is what the verifier has to read.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const place = createRequire(join(process.env.TOKEN_LIBRARIES, "packages.js")).resolve("jose");
const { SignJWT, exportJWK, generateKeyPair, generateSecret } = await import(pathToFileURL(place));

const algorithms = ["HS", "RS", "PS", "ES"].flatMap((family) => [256, 384, 512].map((size) => `${family}${size}`)).concat("EdDSA");
const { claims } = JSON.parse(readFileSync(0, "utf8"));
const minted = [];
for (const algorithm of algorithms) {
  const extractable = { extractable: true };
  let [privateKey, publicKey] = [];
  if (algorithm.startsWith("HS")) privateKey = publicKey = await generateSecret(algorithm, extractable);
  else ({ privateKey, publicKey } = await generateKeyPair(algorithm, extractable));
  const kid = `jose-${algorithm}`;
  const jwk = { ...(await exportJWK(publicKey)), kid };
  const sign = (each) => new SignJWT(each).setProtectedHeader({ alg: algorithm, kid, typ: "JWT" }).sign(privateKey);
  minted.push({ algorithm, jwk, tokens: await Promise.all(claims.map(sign)) });
}
process.stdout.write(JSON.stringify(minted));
