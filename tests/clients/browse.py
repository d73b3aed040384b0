"""zeroconf: finds the station on the network by mDNS and prints what it found, one service a line."""

import sys
import time

from zeroconf import ServiceBrowser, Zeroconf

wanted, name = sys.argv[2:], sys.argv[1]
found = {}


class Listener:
    def add_service(self, zeroconf, kind, service):
        info = zeroconf.get_service_info(kind, service, 5000)
        if info and service.startswith(name):
            found[kind] = info.port

    update_service = add_service

    def remove_service(self, zeroconf, kind, service):
        pass


zeroconf = Zeroconf()
browsers = [ServiceBrowser(zeroconf, kind, Listener()) for kind in wanted]
end = time.time() + 15
while len(found) < len(wanted) and time.time() < end:
    time.sleep(0.05)
for kind in wanted:
    print(kind, found.get(kind))
zeroconf.close()
