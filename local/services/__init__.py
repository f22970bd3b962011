"""The services of AWS that are not the emulator's own business: moto answers for them."""
