"""Where pictures come from: image folders, InsightFace's RecordIO and .bin files, tar shards."""
