-- Events are stored as MessagePack maps, former ones as JSON objects: a function reads both, for people and checks.
-- depends: 0033_starts_and_domains

-- One value and the place after it. Ids and times become text, as JSON writes them.
CREATE FUNCTION read_packed_value(packed bytea, INOUT place integer, OUT value jsonb) LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    mark integer := get_byte(packed, place);
    size integer := 0;
    number numeric := 0;
    name jsonb;
    item jsonb;
BEGIN
    place := place + 1;
    IF mark < 128 THEN value := to_jsonb(mark); RETURN; END IF;
    IF mark >= 224 THEN value := to_jsonb(mark - 256); RETURN; END IF;
    IF mark = 192 THEN value := 'null'; RETURN; END IF;
    IF mark IN (194, 195) THEN value := to_jsonb(mark = 195); RETURN; END IF;
    IF mark < 192 THEN
        size := mark & CASE WHEN mark < 160 THEN 15 ELSE 31 END;
    ELSE
        -- The bytes of a length, or of a number.
        FOR nth IN 1 .. CASE
            WHEN mark IN (196, 199, 204, 208, 217) THEN 1 WHEN mark IN (205, 209, 218, 220, 222) THEN 2
            WHEN mark IN (206, 210, 219, 221, 223) THEN 4 WHEN mark IN (207, 211) THEN 8 ELSE 0
        END LOOP
            number := number * 256 + get_byte(packed, place);
            place := place + 1;
        END LOOP;
        IF mark BETWEEN 208 AND 211 AND number >= 2 ^ (8 * (1 << (mark - 208)) - 1)::numeric THEN
            number := number - 2 ^ (8 * (1 << (mark - 208)))::numeric;
        END IF;
        IF mark BETWEEN 204 AND 211 THEN value := to_jsonb(number::bigint); RETURN; END IF;
        size := number;
    END IF;
    IF mark BETWEEN 160 AND 191 OR mark IN (217, 218, 219) THEN
        value := to_jsonb(convert_from(substring(packed FROM place + 1 FOR size), 'UTF8'));
        place := place + size;
    ELSIF mark = 196 THEN
        value := to_jsonb(encode(substring(packed FROM place + 1 FOR size), 'hex')::uuid);
        place := place + size;
    ELSIF mark IN (199, 214, 215) THEN
        -- A timestamp: seconds in 32 bits, nanoseconds in 30 and seconds in 34, or in 32 and 64.
        size := CASE mark WHEN 214 THEN 4 WHEN 215 THEN 8 ELSE size END;
        FOR nth IN 1 .. size LOOP
            number := CASE WHEN nth = 1 THEN 0 ELSE number * 256 END + get_byte(packed, place + nth);
        END LOOP;
        place := place + 1 + size;
        number := CASE size
            WHEN 4 THEN number
            WHEN 8 THEN mod(number, 17179869184) + div(number, 17179869184) / 1000000000
            ELSE mod(number, 18446744073709551616) + div(number, 18446744073709551616) / 1000000000
        END;
        value := to_jsonb(
            to_char(
                timestamp '1970-01-01' + div(number, 86400)::integer * interval '1 day'
                    + mod(number, 86400)::float8 * interval '1 second',
                CASE WHEN number = trunc(number) THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END
            )
        );
    ELSIF mark BETWEEN 144 AND 159 OR mark IN (220, 221) THEN
        value := '[]';
        FOR nth IN 1 .. size LOOP
            SELECT r.place, r.value INTO place, item FROM read_packed_value(packed, place) r;
            value := value || jsonb_build_array(item);
        END LOOP;
    ELSIF mark < 144 OR mark IN (222, 223) THEN
        value := '{}';
        FOR nth IN 1 .. size LOOP
            SELECT r.place, r.value INTO place, name FROM read_packed_value(packed, place) r;
            SELECT r.place, r.value INTO place, item FROM read_packed_value(packed, place) r;
            value := value || jsonb_build_object(name #>> '{}', item);
        END LOOP;
    ELSE
        RAISE EXCEPTION 'a value of an event begins with byte %, which is not a known type', mark;
    END IF;
END;
$$;

CREATE FUNCTION event_fields(state bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF get_byte(state, 0) = 123 THEN
        RETURN convert_from(state, 'UTF8')::jsonb;
    END IF;
    RETURN (read_packed_value(state, 0)).value;
END;
$$;
