"""python-osc: UDP, and TCP in both framings: sets a value, asks for it, prints what comes back."""

import sys

from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.tcp_client import SimpleTCPClient
from pythonosc.udp_client import UDPClient

port, address = int(sys.argv[1]), sys.argv[2]


def message(*values):
    builder = OscMessageBuilder(address=address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


udp = UDPClient("127.0.0.1", port)
udp.send(message(-21.5))
udp.send(message())
udp._sock.settimeout(10)
from pythonosc.osc_packet import OscPacket

print("udp", OscPacket(udp._sock.recv(65536)).messages[0].message.params)
for mode, value in (("1.0", -22.5), ("1.1", -23.5)):
    tcp = SimpleTCPClient("127.0.0.1", port, mode=mode)
    tcp.send_message(address, value)
    tcp.send(message())
    for heard in tcp.get_messages(10):
        print("tcp", mode, heard.params)
        break
