// A websocket client of OSCQuery: listens to one address and prints what comes, as JSON lines.
const WebSocket = require("ws");
const osc = require("osc");
const [port, address, count] = process.argv.slice(2);
const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
const fail = setTimeout(() => { console.error("nothing came"); process.exit(1); }, 10000);
let heard = 0;
socket.on("open", () => socket.send(JSON.stringify({ COMMAND: "LISTEN", DATA: address })));
socket.on("message", (data, isBinary) => {
    if (!isBinary) { console.log(data.toString()); return; }
    const packet = osc.readPacket(data, {});
    console.log(JSON.stringify([packet.address, packet.args]));
    heard += 1;
    if (heard === 1) {
        // It may set as well, by the same socket.
        const message = osc.writePacket({ address: "/node/glue/ratio", args: [{ type: "f", value: 3.5 }] });
        socket.send(message);
    }
    if (heard >= Number(count)) { clearTimeout(fail); process.exit(0); }
});
socket.on("error", (error) => { console.error(error.message); process.exit(1); });
