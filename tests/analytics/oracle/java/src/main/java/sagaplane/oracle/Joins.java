package sagaplane.oracle;

import static java.time.Duration.ofMillis;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.test.TestRecord;

/** What an outer join of orders and payments emits, also for those that stayed alone. */
final class Joins {
    record Answer(String key, long timestamp, Long order, Long payment) { }

    private Joins() { }

    static List<Answer> pairs(final JsonNode scenario) {
        final JoinWindows near = JoinWindows.ofTimeDifferenceAndGrace(
            ofMillis(scenario.required("difference_ms").longValue()),
            ofMillis(scenario.required("grace_ms").longValue()));
        final StreamsBuilder builder = new StreamsBuilder();
        final KStream<String, Long> orders = builder.stream("order");
        final KStream<String, Long> payments = builder.stream("payment");
        orders.outerJoin(payments, (order, payment) -> order + ":" + payment, near)
            .to("pairs", Produced.valueSerde(Serdes.String()));
        try (TopologyTestDriver driver = Driver.of(builder.build())) {
            for (final JsonNode row : scenario.get("records")) {
                pipe(driver, row);
            }
            final TestOutputTopic<String, String> pairs =
                driver.createOutputTopic("pairs", new StringDeserializer(), new StringDeserializer());
            return pairs.readRecordsToList().stream()
                .map(Joins::answer)
                .sorted(Comparator.comparing(Answer::key).thenComparing(Answer::timestamp)
                    .thenComparing(Answer::order, Comparator.nullsLast(Comparator.naturalOrder()))
                    .thenComparing(Answer::payment, Comparator.nullsLast(Comparator.naturalOrder())))
                .toList();
        }
    }

    /** The library looks for lonely records once in a second of the wall clock: so each record has its own. */
    private static void pipe(final TopologyTestDriver driver, final JsonNode row) {
        driver.advanceWallClockTime(Duration.ofSeconds(2));
        final TestInputTopic<String, Long> side =
            driver.createInputTopic(row.get(3).asText(), new StringSerializer(), new LongSerializer());
        side.pipeInput(row.get(1).asText(), row.get(2).asLong(), row.get(0).asLong());
    }

    private static Answer answer(final TestRecord<String, String> pair) {
        final String[] sides = pair.value().split(":");
        return new Answer(pair.key(), pair.timestamp(), side(sides[0]), side(sides[1]));
    }

    private static Long side(final String value) {
        return value.equals("null") ? null : Long.valueOf(value);
    }
}
