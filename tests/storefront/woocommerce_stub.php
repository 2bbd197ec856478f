<?php
/**
 * The little of WordPress and WooCommerce that the snippet stands on, with the ways that matter to it.
 *
 * Told after developer.woocommerce.com/docs/apis/store-api and github.com/woocommerce/woocommerce,
 * plugins/woocommerce/src/StoreApi. Every warning is an error.
 */

error_reporting( E_ALL );
set_error_handler(
	function ( $level, $text, $file, $line ) {
		throw new ErrorException( $text, 0, $level, $file, $line );
	}
);

define( 'ABSPATH', __DIR__ . '/' );
define( 'ARRAY_A', 'ARRAY_A' );

final class Stub {
	public static $hooks = array();
	public static $done = array();
	public static $updates = array();
	public static $data = array();
	public static $woocommerce = null;
}

function add_action( $hook, $callback, $priority = 10, $count = 1 ) {
	Stub::$hooks[ $hook ][ $priority ][] = array( $callback, $count );
}

function do_action( $hook, ...$given ) {
	Stub::$done[ $hook ] = ( Stub::$done[ $hook ] ?? 0 ) + 1;
	$registered = Stub::$hooks[ $hook ] ?? array();
	ksort( $registered );
	foreach ( array_merge( array(), ...array_values( $registered ) ) as list( $callback, $count ) ) {
		$callback( ...array_slice( $given, 0, $count ) );
	}
}

function did_action( $hook ) {
	return Stub::$done[ $hook ] ?? 0;
}

function rest_url( $path = '' ) {
	return 'https://www.shop.example/wp-json/' . $path;
}

function wp_make_link_relative( $link ) {
	return preg_replace( '|^(https?:)?//[^/]+(/?.*)|i', '$2', $link );
}

function wp_json_encode( $value, $flags = 0 ) {
	return json_encode( $value, $flags );
}

function wp_generate_uuid4() {
	return vsprintf( '%s%s-%s-4%s-a%s-%s%s%s', str_split( bin2hex( random_bytes( 16 ) ), 4 ) );
}

function wp_print_inline_script_tag( $script, $attributes = array() ) {
	echo '<script id="' . htmlspecialchars( $attributes['id'] ) . '">' . $script . '</script>';
}

if ( ! function_exists( 'mb_strlen' ) ) { // as WordPress itself does
	function mb_strlen( $text ) {
		return preg_match_all( '/./us', $text );
	}
}

/** Of a request with a Cart-Token: it has no cookie to set and no method for it. */
class Token_Session {
	public $kept = array();

	public function get( $key, $default = null ) {
		return $this->kept[ $key ] ?? $default;
	}

	public function set( $key, $value ) {
		$this->kept[ $key ] = $value;
	}
}

/** Of a request with cookies: what is set is lost unless there is a session, which a guest with an empty cart lacks. */
class Cookie_Session extends Token_Session {
	public $exists = false;
	public $cookies = 0;

	public function has_session() {
		return $this->exists;
	}

	public function set_customer_session_cookie( $set ) {
		$this->exists = $set;
		++$this->cookies;
	}
}

class Stub_Order {
	public $meta = array();
	public $saved = 0;

	public function get_meta( $key ) {
		return $this->meta[ $key ] ?? '';
	}

	public function update_meta_data( $key, $value ) {
		$this->meta[ $key ] = $value;
	}

	public function save() {
		++$this->saved;
	}
}

function stub_woocommerce( $session ) {
	Stub::$woocommerce          = new stdClass();
	Stub::$woocommerce->session = $session;

	function WC() {
		return Stub::$woocommerce;
	}

	function woocommerce_store_api_register_update_callback( $given ) {
		Stub::$updates[ $given['namespace'] ] = $given['callback'];
	}

	function woocommerce_store_api_register_endpoint_data( $given ) {
		Stub::$data[ $given['endpoint'] ][ $given['namespace'] ] = $given;
	}
}
