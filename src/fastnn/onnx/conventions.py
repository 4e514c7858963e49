"""What ONNX has in another order or under another name than fastnn: tables that both reading and writing go by."""

# Of each recurrent layer, which of fastnn's blocks of rows ONNX has first, second, …: RNN, LSTM (i f g o) as i o f c, GRU
# (r z n) as z r h. Of the peepholes i f o of an LSTM, as i o f.
GATES = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
PEEPHOLES = (0, 2, 1)

# The modes of fastnn's padding, as ONNX and NumPy call them.
PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
