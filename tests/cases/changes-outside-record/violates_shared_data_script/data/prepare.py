print("another way to prepare")
