"""MQTT 5, for events and for open commands: `MqttOptions` says where, `MqttConnection` keeps a connection.

Needs paho-mqtt (``pip install "qcface-sdk[server]"``), imported when a connection is made.
"""

from qcface_sdk.mqtt.connection import MqttConnection
from qcface_sdk.mqtt.options import LastWill, MqttOptions

__all__ = ["LastWill", "MqttConnection", "MqttOptions"]
