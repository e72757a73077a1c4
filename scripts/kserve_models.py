"""Models for the servers that `scripts/kserve-servers` installs: the built-in network, and none.

One file for all of them: Triton's Python backend takes `TritonPythonModel`, MLServer `MLServerModel`, and
`python3 kserve_models.py PORT` is a server of KServe's. DEPTH_MODEL is the path of the ONNX file. Without it, depth is
the image's red; SLEEP seconds go by for each request.
"""

import json
import os
import sys
import time

import numpy as np

INPUT, OUTPUT = "pixel_values", "predicted_depth"


class Depth:
    """Images [n, 3, h, w] to depth [n, h, w], of the images' type."""

    def __init__(self, model, sleep=0.0):
        self.session = None
        self.sleep = sleep
        if model:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = int(os.environ.get("DEPTH_THREADS", "2"))
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, images):
        time.sleep(self.sleep)
        if self.session is None:
            return np.ascontiguousarray(images[:, 0])
        feed = {self.session.get_inputs()[0].name: images.astype(np.float32)}
        depth = self.session.run(None, feed)[0]
        return depth.reshape(len(depth), *depth.shape[-2:]).astype(images.dtype)


class TritonPythonModel:
    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]

        def parameter(name):
            return given.get(name, {}).get("string_value", "")

        self.depth = Depth(parameter("model"), float(parameter("sleep") or 0))

    def execute(self, requests):
        import triton_python_backend_utils as backend

        images = [backend.get_input_tensor_by_name(request, INPUT).as_numpy() for request in requests]
        depth = [self.depth(part) for part in images]
        return [backend.InferenceResponse([backend.Tensor(OUTPUT, part)]) for part in depth]


try:
    from mlserver import MLModel
    from mlserver.codecs import NumpyCodec
    from mlserver.types import InferenceResponse

    class MLServerModel(MLModel):
        async def load(self):
            self.depth = Depth(os.environ.get("DEPTH_MODEL"), float(os.environ.get("SLEEP", "0")))
            return True

        async def predict(self, payload):
            depth = self.depth(NumpyCodec.decode_input(payload.inputs[0]))
            return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(OUTPUT, depth)])

except ImportError:
    pass


def serve_kserve(port):
    import grpc.aio
    import kserve
    import kserve.protocol.rest.server as rest
    from kserve import InferOutput, InferResponse

    # on this machine alone: by itself it listens on every address
    add = grpc.aio._server.Server.add_insecure_port
    grpc.aio._server.Server.add_insecure_port = lambda self, at: add(self, at.replace("[::]", "127.0.0.1"))
    config = rest.uvicorn.Config
    rest.uvicorn.Config = lambda *args, **named: config(*args, **{**named, "host": "127.0.0.1"})

    class Model(kserve.Model):
        def __init__(self):
            super().__init__("depth")
            self.depth = Depth(os.environ.get("DEPTH_MODEL"), float(os.environ.get("SLEEP", "0")))
            self.ready = True

        async def get_input_types(self):
            return [{"name": INPUT, "datatype": "FP32", "shape": [-1, 3, -1, -1]}]

        async def get_output_types(self):
            return [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, -1, -1]}]

        def predict(self, payload, headers=None, response_headers=None):
            depth = self.depth(payload.inputs[0].as_numpy())
            output = InferOutput(name=OUTPUT, shape=list(depth.shape), datatype="FP32")
            output.set_data_from_numpy(depth, binary_data=True)
            return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])

    kserve.ModelServer(http_port=int(port) + 1, grpc_port=int(port)).start([Model()])


if __name__ == "__main__":
    serve_kserve(sys.argv[1])
