// npm "osc" over TCP, which frames with SLIP: subscribes, sets, and waits for what it set to come back as state.
const osc = require("osc");
const [port, address, value] = process.argv.slice(2);
const client = new osc.TCPSocketPort({ address: "127.0.0.1", port: Number(port) });
const fail = setTimeout(() => { console.error("nothing came"); process.exit(1); }, 10000);
client.on("ready", () => {
    client.send({ address, args: [{ type: "f", value: Number(value) }] });
    client.send({ address, args: [] });
});
client.on("message", (message) => {
    if (message.address !== address) return;
    console.log(JSON.stringify([message.address, message.args]));
    clearTimeout(fail);
    process.exit(0);
});
client.on("error", (error) => { console.error(error.message); process.exit(1); });
client.open();
