-- Sessions name the network that they were begun from: /24 of an IPv4 address, /48 of an IPv6 address, not the address.
-- A session from before has none, and so has one that a process of the version before begins.
-- depends: 0080_formats_of_webhooks

ALTER TABLE staff_sessions ADD COLUMN network cidr;
