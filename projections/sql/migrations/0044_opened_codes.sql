-- Codes of hand-outs whose recipient opened the form by the link of the email, for the funnel of a campaign. Primary data
-- without a time or an origin, not a projection: no event stands for it, and no rebuild touches it.
-- Erasing a recipient deletes their row of the list, and this row with it.
-- depends: 0043_campaign_code_terms

CREATE TABLE opened_codes (
    code_id uuid PRIMARY KEY REFERENCES hand_out_recipients ON DELETE CASCADE
);
