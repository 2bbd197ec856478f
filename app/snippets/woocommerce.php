<?php
/**
 * Tillwire: carries Sprii's order number from the live show to the order's meta field "sprii_order_no".
 *
 * Place: wp-content/mu-plugins/tillwire-sprii.php, or the child theme with a line in its functions.php.
 * Needs WooCommerce 7.2 or newer and PHP 7.4 or newer. Calls no other server.
 */

// In a condition, so that a second copy does no harm.
if ( defined( 'ABSPATH' ) && ! class_exists( 'Tillwire_Sprii', false ) ) {

	final class Tillwire_Sprii {
		/** The name by which Tillwire finds the number on the order. */
		const NAME = 'sprii_order_no';

		/** Our place in the Store API and in the shopper's session. */
		const SPACE = 'tillwire_sprii';

		public static function start() {
			add_action( 'wp_head', array( __CLASS__, 'script' ), 0 );
			// A theme is read after WooCommerce has said that its blocks are loaded, a must-use plugin before.
			if ( did_action( 'woocommerce_blocks_loaded' ) ) {
				self::offer();
			} else {
				add_action( 'woocommerce_blocks_loaded', array( __CLASS__, 'offer' ) );
			}
			add_action( 'woocommerce_checkout_create_order', array( __CLASS__, 'mark' ) );
			add_action( 'woocommerce_store_api_checkout_update_order_meta', array( __CLASS__, 'mark_and_save' ) );
			add_action( 'woocommerce_checkout_order_processed', array( __CLASS__, 'forget' ) );
			add_action( 'woocommerce_store_api_checkout_order_processed', array( __CLASS__, 'forget' ) );
		}

		/** Let the page's script read and set the number through the Store API, whose nonce guards the setting. */
		public static function offer() {
			if ( ! function_exists( 'woocommerce_store_api_register_update_callback' ) ) {
				return;
			}
			woocommerce_store_api_register_update_callback(
				array(
					'namespace' => self::SPACE,
					'callback'  => array( __CLASS__, 'receive' ),
				)
			);
			woocommerce_store_api_register_endpoint_data(
				array(
					'endpoint'        => 'cart',
					'namespace'       => self::SPACE,
					'data_callback'   => array( __CLASS__, 'kept' ),
					'schema_callback' => array( __CLASS__, 'schema' ),
					'schema_type'     => ARRAY_A,
				)
			);
		}

		public static function schema() {
			$text = array(
				'type'     => array( 'string', 'null' ),
				'context'  => array( 'view' ),
				'readonly' => true,
			);
			return array(
				'number' => array( 'description' => 'Order number of Sprii.' ) + $text,
				'cart'   => array( 'description' => 'Changes with every cart that is given a number.' ) + $text,
			);
		}

		/** What this shopper's session holds. */
		public static function kept() {
			$session = WC()->session;
			$kept    = $session ? $session->get( self::SPACE ) : null;
			return is_array( $kept ) ? $kept : array( 'number' => null, 'cart' => null );
		}

		/** @param mixed $data What a browser sent: anything. */
		public static function receive( $data ) {
			$number  = self::valid( isset( $data[ self::NAME ] ) ? $data[ self::NAME ] : null );
			$session = WC()->session;
			if ( null === $number || ! $session ) {
				return;
			}
			// A guest with an empty cart has no session yet. A request with a Cart-Token brings a session of another
			// class without these methods: calling them would break the cart.
			if ( is_callable( array( $session, 'has_session' ) ) && ! $session->has_session()
				&& is_callable( array( $session, 'set_customer_session_cookie' ) ) ) {
				$session->set_customer_session_cookie( true );
			}
			$session->set(
				self::SPACE,
				array(
					'number' => $number,
					'cart'   => wp_generate_uuid4(),
				)
			);
		}

		/** Classic checkout: WooCommerce saves the order after this. */
		public static function mark( $order ) {
			$number = self::kept()['number'];
			if ( null === $number || $order->get_meta( self::NAME ) === $number ) {
				return false;
			}
			$order->update_meta_data( self::NAME, $number );
			return true;
		}

		/** Blocks checkout: nobody saves after this. */
		public static function mark_and_save( $order ) {
			if ( self::mark( $order ) ) {
				$order->save();
			}
		}

		/** The next order is not this one. */
		public static function forget() {
			if ( null !== self::kept()['number'] ) {
				WC()->session->set( self::SPACE, null );
			}
		}

		/** First in the head: it has to be there before Sprii's own script. */
		public static function script() {
			if ( ! function_exists( 'WC' ) ) {
				return;
			}
			// Without the host, for a shop may answer to more than one.
			$cart   = wp_json_encode( wp_make_link_relative( rest_url( 'wc/store/v1/cart' ) ), JSON_HEX_TAG );
			$script = <<<'JS'
(function () {
  'use strict';
  if (window.tillwireSprii) return; // pasted twice

  // Sprii's names, as docs.sprii.io/integration/actions gives them. Should Sprii change one, change it here.
  var READY = 'onSpriiReady';
  var ACTIONS = ['SOME_CHECKOUT', 'UPDATE_CART_CONTENTS'];
  var FIELD = 'orderNo';
  var NAME = 'sprii_order_no';
  var SPACE = 'tillwire_sprii';
  // How long this browser remembers; WooCommerce itself keeps a guest's session for two days.
  var KEEP_DAYS = 2;
  var LOOSE_HOURS = 3;
  var CART = '%CART%';
  var nonce = '';

  async function told(answer) {
    // One that is printed into the page would be stale where pages are cached.
    nonce = answer.headers.get('Nonce') || nonce;
    var ours = ((await answer.json()).extensions || {})[SPACE];
    if (!ours) throw Object.assign(new Error('no place for it'), { lasting: true });
    return { number: ours.number, cart: ours.cart, filled: true };
  }

  async function look() {
    return told(await ask(CART));
  }

  async function write(number) {
    var data = {};
    data[NAME] = number;
    return told(await post(CART + '/extensions', { namespace: SPACE, data: data }, { Nonce: nonce }));
  }

//= sprii.js
})();
JS;
			wp_print_inline_script_tag( str_replace( "'%CART%'", $cart, $script ), array( 'id' => 'tillwire-sprii' ) );
		}

		/** The number as it was given, or null: it is untrusted text. */
		private static function valid( $value ) {
			$value = is_string( $value ) ? trim( $value ) : '';
			$clean = '' !== $value && 0 === preg_match( '/\p{Cc}/u', $value ) && mb_strlen( $value ) <= 255;
			return $clean ? $value : null;
		}
	}

	Tillwire_Sprii::start();
}
