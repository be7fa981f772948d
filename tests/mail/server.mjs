// A mail server as others run it: smtp-server, which takes mail of `tollgate` with its password alone, and puts off the first if it is told to.
// Arguments: its port, and perhaps certificate and key, for STARTTLS; then it takes no word before that. Prints a line when it listens, and one
// for each mail that it took or put off; ends with its input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MAIL_SERVER}/package.json`);
const { SMTPServer } = require("smtp-server");
const [port, putOff, certificate, key] = process.argv.slice(2);

let left = Number(putOff);
const server = new SMTPServer({
  ...(certificate ? { cert: readFileSync(certificate), key: readFileSync(key) } : { hideSTARTTLS: true, authOptional: true }),
  onAuth({ username, password }, session, done) {
    const right = username === "tollgate" && password === "a password of the tests";
    done(right ? null : new Error("not you"), { user: username });
  },
  onData(stream, session, done) {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const mail = { to: session.envelope.rcptTo.map(({ address }) => address), from: session.envelope.mailFrom.address, secure: session.secure };
      if (left > 0) {
        left -= 1;
        console.log(JSON.stringify({ ...mail, taken: false }));
        return done(Object.assign(new Error("come again"), { responseCode: 451 }));
      }
      console.log(JSON.stringify({ ...mail, taken: true, text: Buffer.concat(parts).toString() }));
      done();
    });
  },
});
server.on("error", () => {});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
process.stdout.on("error", () => {});
process.stdin.on("end", () => process.exit(0)).resume();
