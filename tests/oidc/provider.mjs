// An OpenID provider as others run it: oidc-provider, with its pages for development, where anybody signs in by the name they give.
// Arguments: its port, and our redirect URI. Prints a line when it listens; ends with its input.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.OPENID_PROVIDER}/package.json`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
const [port, ...redirectUris] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "tollgate", client_secret: "a secret & more", redirect_uris: redirectUris, grant_types: ["authorization_code"], response_types: ["code"] },
    // A machine that has tokens for itself, and a gate that asks about them.
    { client_id: "machine", client_secret: "a secret of a machine", redirect_uris: [], grant_types: ["client_credentials"], response_types: [] },
    { client_id: "gate", client_secret: "a secret & more: 100%, of a gate", redirect_uris: [], grant_types: [], response_types: [] }],
  features: { clientCredentials: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true } },
  scopes: ["openid", "offline_access", "read"],
  claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["for tests"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `Name of ${id}`, email: "ada@example.com", email_verified: true }) }),
});
provider.listen(port, "127.0.0.1", () => console.log("listening"));
// Nobody reads what else it says.
process.stdout.on("error", () => {});
process.stdin.on("end", () => process.exit(0)).resume();
