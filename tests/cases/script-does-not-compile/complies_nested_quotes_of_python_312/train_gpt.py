names = {"a": 1}
print(f"val_bpb {names["a"]} '{"\n".join(["x"])}'")
