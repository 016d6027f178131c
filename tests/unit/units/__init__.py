"""The unit files of the appliance."""
