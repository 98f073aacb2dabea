package sagaplane.oracle;

import static java.time.Duration.ofMillis;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;

/** Count and sum of each window: its last update, or nothing where that was a tombstone. */
final class Aggregates {
    record Answer(String key, long start, long end, long count, long sum) { }

    record Tally(long count, long sum) {
        static final Serde<Tally> SERDE = Serdes.serdeFrom(
            (topic, tally) -> tally == null ? null
                : ByteBuffer.allocate(16).putLong(tally.count).putLong(tally.sum).array(),
            (topic, bytes) -> bytes == null ? null
                : new Tally(ByteBuffer.wrap(bytes).getLong(), ByteBuffer.wrap(bytes).getLong(8)));

        static Tally with(final String key, final Long value, final Tally tally) {
            return new Tally(tally.count + 1, tally.sum + value);
        }

        static Tally merged(final String key, final Tally one, final Tally other) {
            return new Tally(one.count + other.count, one.sum + other.sum);
        }
    }

    private Aggregates() { }

    static List<Answer> windows(final JsonNode scenario) {
        final Map<Windowed<String>, Tally> last = new HashMap<>();
        final StreamsBuilder builder = new StreamsBuilder();
        table(builder.<String, Long>stream("records").groupByKey(), scenario).toStream().foreach(last::put);
        try (TopologyTestDriver driver = Driver.of(builder.build())) {
            final TestInputTopic<String, Long> topic =
                driver.createInputTopic("records", new StringSerializer(), new LongSerializer());
            for (final JsonNode row : scenario.get("records")) {
                topic.pipeInput(row.get(1).asText(), row.get(2).asLong(), row.get(0).asLong());
            }
        }
        return last.entrySet().stream()
            .filter(entry -> entry.getValue() != null)
            .map(entry -> answer(entry.getKey(), entry.getValue()))
            .sorted(Comparator.comparing(Answer::key).thenComparing(Answer::start).thenComparing(Answer::end))
            .toList();
    }

    private static KTable<Windowed<String>, Tally> table(
            final KGroupedStream<String, Long> records, final JsonNode scenario) {
        final long grace = milliseconds(scenario, "grace_ms");
        return switch (scenario.get("kind").asText()) {
            case "tumbling" -> tallied(records.windowedBy(
                TimeWindows.ofSizeAndGrace(ofMillis(milliseconds(scenario, "size_ms")), ofMillis(grace))));
            case "hopping" -> tallied(records.windowedBy(
                TimeWindows.ofSizeAndGrace(ofMillis(milliseconds(scenario, "size_ms")), ofMillis(grace))
                    .advanceBy(ofMillis(milliseconds(scenario, "step_ms")))));
            case "sliding" -> tallied(records.windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(
                ofMillis(milliseconds(scenario, "difference_ms")), ofMillis(grace))));
            case "session" -> records.windowedBy(SessionWindows.ofInactivityGapAndGrace(
                    ofMillis(milliseconds(scenario, "gap_ms")), ofMillis(grace)))
                .aggregate(() -> new Tally(0, 0), Tally::with, Tally::merged, Materialized.with(null, Tally.SERDE));
            default -> throw new IllegalArgumentException("no such kind of window: " + scenario.get("kind"));
        };
    }

    private static KTable<Windowed<String>, Tally> tallied(final TimeWindowedKStream<String, Long> windowed) {
        return windowed.aggregate(() -> new Tally(0, 0), Tally::with, Materialized.with(null, Tally.SERDE));
    }

    private static long milliseconds(final JsonNode scenario, final String name) {
        return scenario.required(name).longValue();
    }

    private static Answer answer(final Windowed<String> windowed, final Tally tally) {
        return new Answer(
            windowed.key(), windowed.window().start(), windowed.window().end(), tally.count(), tally.sum());
    }
}
