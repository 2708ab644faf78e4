"""A stand-in for a training script: these cases are about its documents."""

import os

SEED = int(os.environ.get("SEED", "1"))
TTT_EPOCHS = int(os.environ.get("TTT_EPOCHS", "1"))
MATRIX_LR = float(os.environ.get("MATRIX_LR", "0.02"))
FORCE_STOP_STEP = int(os.environ.get("FORCE_STOP_STEP", "0"))
print(f"seed:{SEED} val_bpb:{1.0 + MATRIX_LR}")
