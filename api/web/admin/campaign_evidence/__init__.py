"""What the numbers of a campaign follow from: its events, each as stored and with its proof, and its uses."""
