// npm "oscquery" asks the host for all that it has, and prints each method with its value and range.
const { OSCQueryDiscovery } = require("oscquery");
const discovery = new OSCQueryDiscovery();
discovery.queryNewService("127.0.0.1", Number(process.argv[2])).then((service) => {
    for (const node of service.flat()) {
        console.log(JSON.stringify([node.full_path, node.description ?? null, node.access ?? null, node.arguments ?? []]));
    }
    process.exit(0);
}).catch((error) => { console.error(error); process.exit(1); });
