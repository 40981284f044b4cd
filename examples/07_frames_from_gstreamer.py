"""Feed a door from your own GStreamer or DeepStream pipeline: 07_frames_from_gstreamer.py GALLERY.db [PIPELINE].

Run it with a Python that has GStreamer's bindings (Debian: python3-gi; DeepStream: its container). PIPELINE is in
gst-launch's words without the sink, for example on a Jetson:

    nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1920,height=1080 ! nvvidconv ! video/x-raw,format=BGRx

The frames arrive in `on_sample`, where a DeepStream program reads its detector's boxes from the metadata and
passes them on: then the door looks for landmarks in those boxes only.
"""

import sys
import threading

import numpy as np

from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.camera import Door, DoorRules, FrameFeed, faces_from_boxes


def boxes_of(sample):
    """Return boxes (N, 4) that another detector found in this sample, None where none looked.

    With DeepStream: pyds.gst_buffer_get_nvds_batch_meta(hash(sample.get_buffer())), then for every object of the frame
    rect_params.left, .top, .left + .width, .top + .height.
    """
    return


def frame_of(sample):
    """Return the picture of a Gst.Sample as BGR, a copy of its own."""
    from gi.repository import Gst

    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    readable, data = sample.get_buffer().map(Gst.MapFlags.READ)
    if not readable:
        return None
    try:
        rows = np.frombuffer(data.data, np.uint8).reshape(height, -1)
        return np.ascontiguousarray(rows[:, : 3 * width].reshape(height, width, 3))
    finally:
        sample.get_buffer().unmap(data)


def start(pipeline, feed, engine):
    """Run the pipeline in a thread and push its frames into `feed`."""
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import Gst

    Gst.init(None)
    sink = "videoconvert ! video/x-raw,format=BGR ! appsink name=sink emit-signals=true max-buffers=1 drop=true"
    pipe = Gst.parse_launch(f"{pipeline} ! {sink}")

    def on_sample(element):
        sample = element.emit("pull-sample")
        image = frame_of(sample)
        if image is not None:
            boxes = boxes_of(sample)
            feed.push(image, None if boxes is None else faces_from_boxes(image, boxes, engine.detect))
        return Gst.FlowReturn.OK

    pipe.get_by_name("sink").connect("new-sample", on_sample)

    def wait():
        message = pipe.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        if message.type == Gst.MessageType.ERROR:
            print("pipeline failed:", message.parse_error()[0].message, file=sys.stderr)
        pipe.set_state(Gst.State.NULL)
        feed.close()

    pipe.set_state(Gst.State.PLAYING)
    threading.Thread(target=wait, daemon=True).start()


def main():
    pipeline = sys.argv[2] if len(sys.argv) > 2 else "videotestsrc num-buffers=60 is-live=true"
    feed = FrameFeed("gstreamer")
    with FaceEngine(min_face=24) as engine, Gallery.open(sys.argv[1], engine=engine) as gallery:
        start(pipeline, feed, engine)
        for event in Door(engine, gallery, feed, rules=DoorRules(min_face=40)):
            print(event.kind.value, event.outcome.value if event.outcome else "", event.subject or "")
    print(f"{feed.status.arrived} frames arrived, {feed.status.dropped} replaced by newer ones")


if __name__ == "__main__":
    main()
