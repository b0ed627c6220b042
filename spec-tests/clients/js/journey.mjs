// Two people, three devices: what a person does in Element Web, done by its own library against a running server.
//
// Wants MATRON_URL (base URL of the server) and MATRON_SHARED_SECRET (its registration secret); `./run` gives both.
// User names are random, so the same server can be walked again and again.
import { after } from "node:test";

import { stopAll } from "./device.mjs";

// Each chapter adds its steps as it is loaded; node:test runs them one after the other, in this order.
import "./chapters/sign-in.mjs";
import "./chapters/meeting.mjs";
import "./chapters/talk.mjs";
import "./chapters/key-backup.mjs";
import "./chapters/second-device.mjs";
import "./chapters/goodbye.mjs";

after(stopAll);
