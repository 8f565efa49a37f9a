"""Commands about a reservation: reserve, cancel, refund, correct, resend, resolve, settle."""
