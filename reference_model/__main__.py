"""Run the command line of the reference stack."""

from reference_model.cli import main

if __name__ == "__main__":
    main()
