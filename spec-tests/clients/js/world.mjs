// What an earlier step finds out and a later one needs: the server, the people, their devices, the room, the messages.

for (const name of ["MATRON_URL", "MATRON_SHARED_SECRET"]) {
    if (!process.env[name]) throw new Error(`${name} is not set; ./run starts a server and sets it`);
}

export const world = {
    url: process.env.MATRON_URL.replace(/\/+$/, ""),
    sharedSecret: process.env.MATRON_SHARED_SECRET,
    // Alice's recovery key: `written` as she keeps it on paper, `privateKey` as her first device has it.
    recovery: {},
};
