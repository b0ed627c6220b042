"use strict";

// Apps put their own function in the place of this one.
window.matrixLogin = window.matrixLogin || { onLogin() {} };

const form = document.querySelector("form");
const told = document.querySelector("output");
const query = new URLSearchParams(location.search);

/** What the app says of itself in the page's address. */
function wishes() {
    const said = {};
    for (const name of ["device_id", "initial_device_display_name"]) {
        if (query.has(name)) said[name] = query.get(name);
    }
    if (query.get("refresh_token") === "true") said.refresh_token = true;
    return said;
}

/** A user name or a whole id, or an e-mail address. */
function identifier(name) {
    return name.indexOf("@") > 0
        ? { type: "m.id.thirdparty", medium: "email", address: name }
        : { type: "m.id.user", user: name };
}

async function logIn() {
    const { user, password } = form.elements;
    const response = await fetch("/_matrix/client/v3/login", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
            ...wishes(),
            type: "m.login.password",
            identifier: identifier(user.value.trim()),
            password: password.value,
        }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    form.hidden = true;
    told.textContent = "You are logged in. You can go on in your app.";
    window.matrixLogin.onLogin(answer);
}

form.addEventListener("submit", event => {
    event.preventDefault();
    told.textContent = "";
    logIn().catch(error => {
        told.textContent = error.message;
    });
});
